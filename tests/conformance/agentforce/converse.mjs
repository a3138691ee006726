// A conversation by the vendor's developer-relations client, as its README holds one.
// Argument: JSON of its configuration. Output: JSON, one line.
import * as sdk from "salesforce-agent-api-client";

const Client = sdk.default?.default ?? sdk.default;
const quiet = { log() {}, debug() {}, info() {}, warn() {}, error() {} };
const client = new Client(JSON.parse(process.argv[2]), quiet);
const variables = [{ name: "History", type: "Json", value: "[]" }];

const found = { events: [] };
try {
  await client.authenticate();
  const session = await client.createSession();
  found.session = session;
  found.whole = await client.sendSyncMessage(session, "one", variables);
  await new Promise((resolve) => setTimeout(resolve, 2)); // its numbers are milliseconds
  await new Promise((resolve) => {
    client.sendStreamingMessage(
      session,
      "two",
      variables,
      ({ event, data }) => found.events.push([event, JSON.parse(data)]),
      resolve,
    );
  });
  const inform = found.events.find(([event]) => event === "INFORM")[1].message;
  await client.submitFeedback(session, inform.feedbackId, "GOOD", "well said");
  await client.closeSession(session);
} catch (error) {
  found.error = error.message;
  found.cause = String(error.cause?.message ?? "");
}
console.log(JSON.stringify(found));
