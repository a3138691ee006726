// A streamed turn, read by the reader of server-sent events that the vendor's client stands on.
// Arguments: URL of the stream, token, request body. Output: JSON, one line.
import { createEventSource } from "eventsource-client";

const [url, token, body] = process.argv.slice(2);
const events = [];
const comments = [];
await new Promise((resolve) => {
  const source = createEventSource({
    url,
    method: "POST",
    body,
    headers: { Authorization: `Bearer ${token}`, "Content-Type": "application/json" },
    onMessage: ({ id, event, data }) => events.push([id, event, JSON.parse(data)]),
    onComment: (comment) => comments.push(comment),
    onDisconnect: () => {
      source.close();
      resolve();
    },
  });
});
console.log(JSON.stringify({ events, comments }));
