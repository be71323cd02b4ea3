// Reads the topic, one record at a time.

const { kafka } = require("./kafka");

/** Hand each change to `take`; the function that comes back stops reading. */
async function readChanges(take) {
  const consumer = kafka.consumer({ groupId: process.env.GROUP_ID });
  await consumer.connect();
  await consumer.subscribe({ topics: [process.env.CHANGES_TOPIC] });
  await consumer.run({ eachMessage: ({ message }) => take(JSON.parse(message.value)) });
  return () => consumer.disconnect();
}

module.exports = { readChanges };
