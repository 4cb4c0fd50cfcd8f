"""A first device: publishes a reading every ten seconds, with paho-mqtt 2 (pip install 'paho-mqtt==2.*').

    MQTT_USER=balcony MQTT_PASSWORD=… python docs/publish.py

MQTT_HOST (localhost) and MQTT_PORT (1883) say where the broker is; with MQTT_CA, the file of its authority, the connection
is encrypted (port 8883). A number as argument ends it after so many readings.
"""

import json
import os
import random
import sys
import threading
import time

import paho.mqtt.client as mqtt

user = os.environ["MQTT_USER"]
authority = os.environ.get("MQTT_CA")
client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id=user)
client.username_pw_set(user, os.environ["MQTT_PASSWORD"])
if authority:
    client.tls_set(ca_certs=authority)
# What is published while the broker is away waits in memory, and no more than this.
client.max_queued_messages_set(1000)
connected = threading.Event()


def on_connect(client, userdata, flags, reason, properties):
    print(f"the broker says: {reason}", flush=True)
    if not reason.is_failure:
        connected.set()


client.on_connect = on_connect
client.connect_async(os.environ.get("MQTT_HOST", "localhost"), int(os.environ.get("MQTT_PORT", 8883 if authority else 1883)))
# A thread of its own connects, and again when the connection is lost.
client.loop_start()
connected.wait()

left = int(sys.argv[1]) if len(sys.argv) > 1 else None
temperature = 21.0
while left is None or left > 0:
    temperature += random.uniform(-0.2, 0.2)
    reading = {"temperature": round(temperature, 1), "humidity": 48}
    # QoS 1: the broker says that it has it, and keeps it while Amber is away.
    sent = client.publish(f"home/{user}/climate", json.dumps(reading), qos=1)
    if left is None:
        time.sleep(10)
    else:
        sent.wait_for_publish(30)
        left -= 1
client.disconnect()
client.loop_stop()
