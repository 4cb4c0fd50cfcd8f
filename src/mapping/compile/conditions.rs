//! Conditions on captures of the topic that no topic fulfils.

use super::sources::text_of;
use super::{Compiler, Level, Template};
use crate::config::mapping::Condition;
use crate::fault::Fault;

impl Compiler<'_, '_> {
    /// Where a whole condition cannot hold the mapping can never match, which is a fault; where a part of it cannot, a
    /// warning.
    pub(super) fn conditions_can_hold(&mut self, topics: &[Template]) {
        for condition in &self.config.when {
            let Some(slot) = self.names.find(&condition.key.value) else { continue };
            let levels: Vec<&Level> = topics.iter().filter_map(|template| template.catches(slot)).collect();
            self.values_can_hold(condition, &levels);
            if !levels.is_empty() {
                self.topics_can_hold(condition, slot, topics);
            }
        }
    }

    /// `levels` is where the topics catch it; empty if `rows` do, whose keys may be any text.
    fn values_can_hold(&mut self, condition: &Condition, levels: &[&Level]) {
        let name = &condition.key.value;
        let one_level = !levels.is_empty() && levels.iter().all(|level| !matches!(level, Level::Tail(_)));
        let cannot = |text: &str| {
            if text.is_empty() {
                let remedy = format!("leave it out; for any value write `when = {name:?}`");
                Some((format!("`{{{name}}}` is never empty where it was caught"), remedy))
            } else if let Some(wildcard) = text.chars().find(|c| !levels.is_empty() && ['+', '#'].contains(c)) {
                let what =
                    format!("{text:?} can be no `{{{name}}}`: a topic name holds no `{wildcard}` (MQTT 3.3.2-2)");
                Some((what, "write `*` for any characters".to_owned()))
            } else if one_level && text.contains('/') {
                let what = format!("{text:?} can be no `{{{name}}}`, which is one level and holds no `/`");
                Some((what, format!("name a level, or catch several in `topic`: `{{{name}#}}`")))
            } else {
                None
            }
        };
        let all = &condition.values;
        let dead: Vec<_> = all.iter().filter_map(|value| Some((value, cannot(&text_of(&value.value))?))).collect();
        let key = format!("when.{name}");
        if dead.len() == all.len()
            && let Some((value, (what, remedy))) = dead.first()
        {
            let what = format!("the mapping can never match: {what}");
            self.fault(&value.place, &key, what, remedy);
            return;
        }
        for (value, (what, remedy)) in dead {
            self.faults.push(Fault::warning(&value.place, self.path(&key), what, remedy));
        }
    }

    fn topics_can_hold(&mut self, condition: &Condition, slot: usize, topics: &[Template]) {
        let name = &condition.key.value;
        for template in topics.iter().filter(|template| template.catches(slot).is_none()) {
            let written = self.config.topic.iter().find(|topic| *topic.value == *template.text);
            let place = written.map_or(&condition.key.place, |topic| &topic.place);
            let what = format!(
                "the mapping takes nothing by `{}`, which catches no `{{{name}}}`, and `when` asks for one ({})",
                template.text, condition.key.place
            );
            let remedy = format!("catch `{{{name}}}` in it, or make it a mapping of its own");
            self.faults.push(Fault::warning(place, self.path("topic"), what, remedy));
        }
    }
}
