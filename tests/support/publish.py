"""Publishes what standard input says, with the real paho-mqtt: publish.py PORT 3.1.1|5

Each line is a JSON object: topic, payload (any JSON; it is sent as json.dumps makes it), qos (0), retain (false).
"""

import json
import sys

import paho.mqtt.client as mqtt

port, version = int(sys.argv[1]), sys.argv[2]
protocol = {"3.1.1": mqtt.MQTTv311, "5": mqtt.MQTTv5}[version]
client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id="paho-publisher", protocol=protocol)
client.connect("127.0.0.1", port)
client.loop_start()
for line in sys.stdin:
    message = json.loads(line)
    info = client.publish(
        message["topic"], json.dumps(message["payload"]), message.get("qos", 0), message.get("retain", False)
    )
    info.wait_for_publish(30)
    if not info.is_published():
        sys.exit(f"not published: {line}")
client.disconnect()
client.loop_stop()
