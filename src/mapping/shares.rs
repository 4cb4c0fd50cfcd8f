//! Shared subscriptions that nothing shares: a message that also comes by a filter without the group is everybody's; and
//! what nobody in the group can know: the last stored value of a series that all of them feed.

use crate::config::MappingConfig;
use crate::fault::{At, Fault};
use crate::message::Qos;
use crate::topic::{self, Subscription, TopicFilter};

use super::compiled::{Compiled, Layout, Target};
use crate::schema::Schema;

/// A fault for each pair of filters, of different groups or one without, that some topic matches both of: mappings go
/// by the topic, whatever brought the message, so that every member of the group would store what each copy brings.
pub(super) fn mixed(mappings: &[Compiled], configs: &[MappingConfig]) -> Vec<Fault> {
    let topics = || {
        mappings.iter().zip(configs).flat_map(|(mapping, config)| {
            mapping.topics.iter().zip(&config.topic).map(move |(template, at)| (config, template, at))
        })
    };
    let subscriptions: Vec<Subscription> = topics()
        .filter_map(|(_, template, _)| TopicFilter::new(&template.filter()).ok())
        .map(|filter| Subscription { filter, qos: Qos::AtMostOnce, retained: false })
        .collect();
    if subscriptions.iter().all(|one| one.filter.group() == subscriptions[0].filter.group()) {
        return Vec::new();
    }
    let of = |filter: &TopicFilter| topics().find(|(_, template, _)| template.filter() == filter.as_str());
    let crossing = topic::reduce(&subscriptions).crossing.into_iter();
    let mixed = crossing.filter(|(one, other)| one.group() != other.group());
    mixed
        .filter_map(|(one, other)| Some((of(&one)?, of(&other)?)))
        .map(|(one, other)| fault(one.0, one.2, other.2))
        .collect()
}

/// A fault for each mapping that shares its messages and feeds a field with a deadband: the others of the group store
/// values of the same series, so that the last one that this Amber stored may not be the last one.
pub(super) fn forgetful(mappings: &[Compiled], configs: &[MappingConfig], schema: &Schema) -> Vec<Fault> {
    let mut faults = Vec::new();
    for (mapping, config) in mappings.iter().zip(configs) {
        let Some(topic) = config.topic.iter().find(|topic| topic.value.starts_with("$share/")) else { continue };
        let layouts: Vec<&Layout> = match &mapping.target {
            Target::One(layout) => vec![layout],
            Target::Of(_, layouts) => layouts.values().collect(),
        };
        let fields = layouts.into_iter().flat_map(|layout| {
            let fields = &schema.measurements[layout.measurement].fields;
            layout.fields.iter().map(|&position| &fields[position])
        });
        if let Some(field) = fields.into_iter().find(|field| field.deadband.is_some()) {
            let what = format!(
                "`{}` shares its messages with other Ambers, and field `{}` has a `deadband`: none of them knows what the others have stored of a series, and would leave out values that are news",
                topic.value, field.name
            );
            let remedy = "leave `deadband` out, or subscribe without `$share/` in one Amber";
            faults.push(Fault::new(&topic.place, format!("mapping.{}.topic", config.name.value), what, remedy));
        }
    }
    faults
}

fn fault(config: &MappingConfig, one: &At<String>, other: &At<String>) -> Fault {
    Fault::new(
        &one.place,
        format!("mapping.{}.topic", config.name.value),
        format!(
            "`{}` and `{}` ({}) match the same topics, and are not of one shared group: every Amber of the group would store what comes by both",
            one.value, other.value, other.place
        ),
        "write `$share/` with one group for both, or topics that do not overlap",
    )
}
