//! The mappings that come with Amber for whole ecosystems, and which of them read what was heard.
//!
//! A file is recognised by its own mapping and by nothing else: messages that give rows by it are the evidence. That is
//! not enough where a template is so wide that it takes anybody's topics, so one of the templates that gave rows must be
//! specific, and most of what the file takes must be readable by it. What one file explains is taken from the others,
//! beginning with the file that explains most.

mod recognise;
#[cfg(test)]
mod tests;

pub use recognise::{Library, Recognised};

/// Name (without `.toml`) and text of each file in `mappings/`, by name.
pub const FILES: &[(&str, &str)] = &[
    ("ahoydtu", include_str!("../../mappings/ahoydtu.toml")),
    ("aws-iot-shadow", include_str!("../../mappings/aws-iot-shadow.toml")),
    ("dsmr-reader", include_str!("../../mappings/dsmr-reader.toml")),
    ("dsmrlogger-ws", include_str!("../../mappings/dsmrlogger-ws.toml")),
    ("emonhub", include_str!("../../mappings/emonhub.toml")),
    ("esphome", include_str!("../../mappings/esphome.toml")),
    ("espruinohub", include_str!("../../mappings/espruinohub.toml")),
    ("evcc", include_str!("../../mappings/evcc.toml")),
    ("frigate", include_str!("../../mappings/frigate.toml")),
    ("homie", include_str!("../../mappings/homie.toml")),
    ("kepware-iotgateway", include_str!("../../mappings/kepware-iotgateway.toml")),
    ("meshtastic", include_str!("../../mappings/meshtastic.toml")),
    ("mosquitto-sys", include_str!("../../mappings/mosquitto-sys.toml")),
    ("mtconnect", include_str!("../../mappings/mtconnect.toml")),
    ("opcua-pubsub", include_str!("../../mappings/opcua-pubsub.toml")),
    ("openevse", include_str!("../../mappings/openevse.toml")),
    ("openmqttgateway", include_str!("../../mappings/openmqttgateway.toml")),
    ("owntracks", include_str!("../../mappings/owntracks.toml")),
    ("rtl_433", include_str!("../../mappings/rtl_433.toml")),
    ("ruuvi-gateway", include_str!("../../mappings/ruuvi-gateway.toml")),
    ("senml", include_str!("../../mappings/senml.toml")),
    ("shelly-gen1", include_str!("../../mappings/shelly-gen1.toml")),
    ("sma-mqtt", include_str!("../../mappings/sma-mqtt.toml")),
    ("tasmota", include_str!("../../mappings/tasmota.toml")),
    ("theengs-gateway", include_str!("../../mappings/theengs-gateway.toml")),
    ("thingsboard", include_str!("../../mappings/thingsboard.toml")),
    ("tts-v3", include_str!("../../mappings/tts-v3.toml")),
    ("wled", include_str!("../../mappings/wled.toml")),
    ("wmbusmeters", include_str!("../../mappings/wmbusmeters.toml")),
    ("zigbee2mqtt", include_str!("../../mappings/zigbee2mqtt.toml")),
    ("zwave-js-ui", include_str!("../../mappings/zwave-js-ui.toml")),
];

/// The text of the ready file of that name.
#[must_use]
pub fn text(name: &str) -> Option<&'static str> {
    FILES.iter().find(|(known, _)| *known == name).map(|(_, text)| *text)
}

/// What it is for: the beginning of its first line.
#[must_use]
pub fn title(text: &'static str) -> &'static str {
    let line = text.lines().next().unwrap_or_default().trim_start_matches(['#', ' ']);
    let end = line.find(" (").or_else(|| line.find(": ")).unwrap_or(line.len());
    line[..end].trim_end_matches([':', '.', ','])
}
