//! Asks the store for the page: one question at a time, and the same question within a second once for all who ask.
//!
//! So ten open pages cost the store what one does, and however many ask, one connection works for them. What waits is
//! bounded, in number and in time.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Mutex, Semaphore};
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use crate::store::{ReadError, Reader};

/// An answer is as good as new for so long.
const FRESH: Duration = Duration::from_secs(1);
/// Bytes of answers that are kept for that.
const MAX_KEPT_BYTES: usize = 8 << 20;
/// Questions that wait for the one that is being answered, and how long one does: the reader has five seconds for each.
const MAX_WAITING: usize = 64;
const PATIENCE: Duration = Duration::from_secs(12);

/// Why there is no answer.
#[derive(Debug)]
pub(super) enum Unanswered {
    /// The store is away, or a person must act.
    Away(String),
    /// The question cannot be answered.
    Refused(String),
    /// Too many ask.
    Busy,
    /// The service ends.
    Ends,
}

impl std::fmt::Display for Unanswered {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Away(why) => write!(f, "the store cannot be asked: {why}"),
            Self::Refused(why) => f.write_str(why),
            Self::Busy => f.write_str("the store is asked more than it can answer; try again in a moment"),
            Self::Ends => f.write_str("Amber is stopping"),
        }
    }
}

impl From<ReadError> for Unanswered {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Away(source) | ReadError::Standing(source) => Self::Away(crate::status::told(&source)),
            ReadError::Refused(source) => Self::Refused(crate::status::told(&source)),
        }
    }
}

pub(super) struct Stored {
    asked: Mutex<Asked>,
    places: Semaphore,
    stop: CancellationToken,
}

struct Asked {
    reader: Reader,
    /// Oldest first.
    answers: VecDeque<Kept>,
}

struct Kept {
    question: String,
    answered_at: Instant,
    answer: Arc<str>,
}

impl Asked {
    fn forget_old(&mut self) {
        let mut bytes: usize = self.answers.iter().map(|kept| kept.answer.len()).sum();
        let is_old = |kept: &Kept, bytes| kept.answered_at.elapsed() >= FRESH || bytes > MAX_KEPT_BYTES;
        while let Some(oldest) = self.answers.pop_front_if(|oldest| is_old(oldest, bytes)) {
            bytes -= oldest.answer.len();
        }
    }
}

impl Stored {
    /// Asks nothing any more once `stop` is cancelled.
    pub(super) fn new(reader: Reader, stop: CancellationToken) -> Self {
        let asked = Asked { reader, answers: VecDeque::new() };
        Self { asked: Mutex::new(asked), places: Semaphore::new(MAX_WAITING), stop }
    }

    /// The answer to `question`: what `work` reads, unless somebody has just asked the same. Cancel safe.
    pub(super) async fn ask(
        &self,
        question: String,
        work: impl AsyncFnOnce(&mut Reader) -> Result<String, ReadError>,
    ) -> Result<Arc<str>, Unanswered> {
        self.alone(async |asked| {
            asked.forget_old();
            if let Some(kept) = asked.answers.iter().find(|kept| kept.question == question) {
                return Ok(Arc::clone(&kept.answer));
            }
            let answer: Arc<str> = work(&mut asked.reader).await?.into();
            asked.answers.push_back(Kept { question, answered_at: Instant::now(), answer: Arc::clone(&answer) });
            Ok(answer)
        })
        .await
    }

    /// What `work` reads. Cancel safe.
    pub(super) async fn read<T>(
        &self,
        work: impl AsyncFnOnce(&mut Reader) -> Result<T, ReadError>,
    ) -> Result<T, Unanswered> {
        self.alone(async |asked| work(&mut asked.reader).await).await
    }

    async fn alone<T>(&self, work: impl AsyncFnOnce(&mut Asked) -> Result<T, ReadError>) -> Result<T, Unanswered> {
        let _place = self.places.try_acquire().map_err(|_| Unanswered::Busy)?;
        let answered = async {
            let mut asked = timeout(PATIENCE, self.asked.lock()).await.map_err(|_| Unanswered::Busy)?;
            Ok(work(&mut asked).await?)
        };
        tokio::select! { biased;
            () = self.stop.cancelled() => Err(Unanswered::Ends),
            answer = answered => answer,
        }
    }

    /// Leaves the store when the service stops, before whoever writes does: then for ever nothing.
    pub(super) async fn close_at_the_end(&self) {
        self.stop.cancelled().await;
        self.asked.lock().await.reader.close().await;
        std::future::pending().await
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    fn stored() -> Stored {
        let text = "[broker]\nurl = 'mqtt://a'\n[store]\nurl = 'sqlite:/no/such/folder/a.db'\n";
        let config = crate::config::load_text("config.toml", text, []).config.unwrap();
        Stored::new(Reader::new(&config.store), CancellationToken::new())
    }

    #[tokio::test(start_paused = true)]
    async fn what_ten_pages_ask_at_a_time_is_read_once_and_a_second_later_anew() {
        let (stored, read) = (stored(), AtomicUsize::new(0));
        let ask = async || {
            let work = async |_: &mut Reader| {
                tokio::time::sleep(Duration::from_millis(100)).await;
                Ok(format!("{}", read.fetch_add(1, Ordering::Relaxed)))
            };
            stored.ask("how many?".to_owned(), work).await.unwrap().to_string()
        };
        let answers = futures_util::future::join_all((0..10).map(|_| ask())).await;
        assert!(answers.iter().all(|answer| answer == "0"), "{answers:?}");
        tokio::time::sleep(FRESH).await;
        assert_eq!(ask().await, "1");
        let other = stored.ask("and now?".to_owned(), async |_| Ok("else".to_owned())).await.unwrap();
        assert_eq!(&*other, "else");
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_too_long_or_comes_as_one_too_many_is_told_so() {
        let stored = stored();
        let slow = || {
            stored.read(async |_| {
                tokio::time::sleep(2 * PATIENCE).await;
                Ok(())
            })
        };
        let answers = futures_util::future::join_all((0..=MAX_WAITING).map(|_| slow())).await;
        let answered = answers.iter().filter(|answer| answer.is_ok()).count();
        assert_eq!(answered, 1);
        assert!(answers[1..].iter().all(|answer| matches!(answer, Err(Unanswered::Busy))));
    }

    #[tokio::test(start_paused = true)]
    async fn a_question_does_not_hold_up_the_end() {
        let stored = stored();
        let hanging = stored.read(async |_| {
            std::future::pending::<()>().await;
            Ok(())
        });
        let stop = async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            stored.stop.cancel();
        };
        let (answer, ()) = tokio::join!(hanging, stop);
        assert!(matches!(answer, Err(Unanswered::Ends)));
        let closed = timeout(Duration::from_secs(1), stored.close_at_the_end()).await;
        assert!(closed.is_err(), "it is closed, and waits for ever");
        assert!(stored.asked.try_lock().is_ok());
    }

    #[tokio::test]
    async fn a_store_that_is_not_there_is_away() {
        let answer = stored().read(async |reader| reader.reject(1).await).await;
        assert!(matches!(&answer, Err(Unanswered::Away(why)) if why.contains("a.db")), "{answer:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_kept_is_bounded_in_bytes() {
        let stored = stored();
        for number in 0..5 {
            stored.ask(number.to_string(), async |_| Ok("x".repeat(MAX_KEPT_BYTES / 2))).await.unwrap();
        }
        let kept: usize = stored.asked.lock().await.answers.iter().map(|kept| kept.answer.len()).sum();
        assert!(kept <= 2 * MAX_KEPT_BYTES, "{kept}");
    }
}
