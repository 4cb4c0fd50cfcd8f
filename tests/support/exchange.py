"""Every pair of versions and every quality, between two clients of paho-mqtt: exchange.py PORT

Also 5,000 messages of QoS 1 in a row, a second client of the same name, and a filter that is refused.
"""

import queue
import sys
import time

import paho.mqtt.client as mqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

port = int(sys.argv[1])
versions = {"3.1.1": mqtt.MQTTv311, "5": mqtt.MQTTv5}


def connect(name, version):
    client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id=name, protocol=versions[version])
    client.came = queue.Queue()
    client.granted = queue.Queue()
    client.ended = queue.Queue()
    client.on_message = lambda client, data, message: client.came.put(message)
    client.on_subscribe = lambda client, data, mid, reasons, properties: client.granted.put(reasons)
    client.on_disconnect = lambda client, data, flags, reason, properties: client.ended.put(reason)
    client.connect("127.0.0.1", port)
    client.loop_start()
    return client


def end(client):
    client.disconnect()
    client.loop_stop()


for theirs in versions:
    for ours in versions:
        listener, speaker = connect("listener", theirs), connect("speaker", ours)
        listener.subscribe("pair/#", 2)
        listener.granted.get(timeout=30)
        for qos in (0, 1, 2):
            speaker.publish("pair/é", f"{ours} {qos}", qos).wait_for_publish(30)
            message = listener.came.get(timeout=30)
            got = (message.topic, message.payload.decode(), message.qos, message.retain, message.dup)
            assert got == ("pair/é", f"{ours} {qos}", qos, False, False), got
        end(listener)
        end(speaker)

listener, speaker = connect("listener", "5"), connect("speaker", "5")
identifier = Properties(PacketTypes.SUBSCRIBE)
identifier.SubscriptionIdentifier = 7
listener.subscribe("many/#", 1, properties=identifier)
listener.granted.get(timeout=30)
user = Properties(PacketTypes.PUBLISH)
user.UserProperty = ("unit", "°C")
start = time.monotonic()
for n in range(5000):
    info = speaker.publish("many/x", str(n), 1, properties=user)
info.wait_for_publish(30)
for n in range(5000):
    message = listener.came.get(timeout=30)
    assert message.payload == str(n).encode(), (n, message.payload)
    assert message.properties.SubscriptionIdentifier == [7], message.properties
    assert message.properties.UserProperty == [("unit", "°C")], message.properties
print(f"5000 messages in {time.monotonic() - start:.1f} s")

listener.subscribe("$share/group/many/#", 1)
granted = listener.granted.get(timeout=30)
assert granted[0].value == 0x9E, granted

other = connect("listener", "5")
ended = listener.ended.get(timeout=30)
assert ended.value == 0x8E, ended
listener.loop_stop()
end(other)
end(speaker)
