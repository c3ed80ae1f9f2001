import { randomUUID } from "node:crypto";
import { createInterface } from "node:readline/promises";

async function post(path, body, triesLeft = 2, key = randomUUID()) {
  const headers = { Authorization: `Bearer ${process.env.FIADOR_KEY}`, "Content-Type": "application/json", "Idempotency-Key": key };
  const request = { method: "POST", headers, body: JSON.stringify(body), signal: AbortSignal.timeout(5000) };
  const [status, answer] = await fetch(process.env.FIADOR_URL + path, request)
    .then(async (reply) => [reply.status, await reply.json()])
    .catch((error) => [503, { detail: `no reply: ${error.message}` }]);
  if (status < 300) return answer;
  if (status !== 503 || triesLeft === 0) throw new Error(answer.detail);
  await new Promise((resolve) => setTimeout(resolve, 1000));
  return post(path, body, triesLeft - 1, key); // the same key: what was done is not done twice
}

const started = await post("/v1/verifications", { email: process.argv[2], token: "session-1" });
const terminal = createInterface({ input: process.stdin, output: process.stdout });
const number = await terminal.question("The number from the mail: ");
console.log((await post(`/v1/verifications/${started.id}/check`, { number })).token);
terminal.close();
