//! Topic filters as the broker needs them (MQTT 4.7): is it one, does it match.

/// Whether `filter` is a topic filter (4.7.1): wildcards fill a level, `#` the last one; not empty, no NUL.
pub(super) fn is_valid(filter: &str) -> bool {
    let mut levels = filter.split('/').peekable();
    let mut valid = !filter.is_empty() && filter.len() <= usize::from(u16::MAX) && !filter.contains('\0');
    while let Some(level) = levels.next() {
        valid &= match level {
            "#" => levels.peek().is_none(),
            "+" => true,
            _ => !level.contains(['+', '#']),
        };
    }
    valid
}

/// Whether a valid `filter` takes the topic name `topic`. Wildcards in the first level do not take `$…` (4.7.2).
pub(super) fn matches(filter: &str, topic: &str) -> bool {
    if topic.starts_with('$') && filter.starts_with(['+', '#']) {
        return false;
    }
    let mut topic = topic.split('/');
    for level in filter.split('/') {
        match (level, topic.next()) {
            // Also the parent: `a/#` takes `a`.
            ("#", _) => return true,
            ("+", Some(_)) => {}
            (level, Some(name)) if level == name => {}
            _ => return false,
        }
    }
    topic.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_take_what_the_standard_says() {
        for (filter, topic, takes) in [
            ("a/b", "a/b", true),
            ("a/b", "a/B", false),
            ("a/+", "a/b", true),
            ("a/+", "a", false),
            ("a/+", "a/", true),
            ("a/+", "a/b/c", false),
            ("a/#", "a", true),
            ("a/#", "a/b/c", true),
            ("a/#", "b", false),
            ("+/b/#", "é/b", true),
            ("#", "a/b", true),
            ("#", "$SYS/a", false),
            ("+/a", "$SYS/a", false),
            ("$SYS/#", "$SYS/a", true),
            ("/+", "/a", true),
            ("+", "/a", false),
        ] {
            assert_eq!(matches(filter, topic), takes, "{filter} {topic}");
        }
    }

    #[test]
    fn wildcards_fill_a_level_and_only_the_last_may_be_a_hash() {
        for filter in ["#", "+", "a/+/b", "a/#", "/", "a//b"] {
            assert!(is_valid(filter), "{filter}");
        }
        for filter in ["", "a/#/b", "a#", "a/b+", "++", "a\0"] {
            assert!(!is_valid(filter), "{filter}");
        }
    }
}
