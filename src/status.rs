//! What `/ready` answers: the condition of the broker and of the store, each in one place, as a value.
//!
//! Logged where it changes, once per change (`Part::set` tells whether it did).

use std::sync::Mutex;

/// How it stands with one side of Amber.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Condition {
    /// Not yet tried.
    Starting,
    Up,
    /// Away: expected to come back by itself. The text says why.
    Away(String),
    /// Standing: a person must act. The text says what is wrong and what to do.
    Standing(String),
}

/// One side: the broker, or the store.
#[derive(Debug)]
pub struct Part(Mutex<Condition>);

impl Part {
    fn new() -> Self {
        Self(Mutex::new(Condition::Starting))
    }

    #[must_use]
    pub fn get(&self) -> Condition {
        self.0.lock().expect("no holder of this lock panics").clone()
    }

    /// Returns whether people should be told: it is another condition than before, or another reason to act. That what
    /// is away is away for another reason is shown by `/ready`, and not worth a line.
    pub fn set(&self, condition: Condition) -> bool {
        let mut current = self.0.lock().expect("no holder of this lock panics");
        let is_news = match (&*current, &condition) {
            (Condition::Away(_), Condition::Away(_)) => false,
            (before, now) => before != now,
        };
        *current = condition;
        is_news
    }
}

/// Both sides.
#[derive(Debug)]
pub struct Status {
    pub broker: Part,
    pub store: Part,
}

impl Status {
    #[must_use]
    pub fn new() -> Self {
        Self { broker: Part::new(), store: Part::new() }
    }

    /// `Ok` if messages can come and be stored; otherwise the reason, one line.
    ///
    /// # Errors
    /// The first side that is not up, and why.
    pub fn ready(&self) -> Result<(), String> {
        for (name, part) in [("store", &self.store), ("broker", &self.broker)] {
            match part.get() {
                Condition::Up => {}
                Condition::Starting => return Err(format!("{name}: starting")),
                Condition::Away(why) | Condition::Standing(why) => return Err(format!("{name}: {why}")),
            }
        }
        Ok(())
    }
}

impl Default for Status {
    fn default() -> Self {
        Self::new()
    }
}
