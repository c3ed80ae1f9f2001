// The Redis server: reads, writes and deletes the users' data, and draws each user's number.
import { randomInt } from "node:crypto";
import { createClient } from "redis";
import { jsonApp, serve } from "./serve.js";

const LIFE_SECONDS = 300;
const client = await createClient({ url: process.env.REDIS_URL }).connect();
const app = jsonApp((response) => response.status(400).json({}));

// A number that nobody has, as long as its user may present it.
async function drawFor(correo) {
  for (;;) {
    const numero = String(randomInt(1e9, 1e10));
    if (await client.set(`numero:${numero}`, correo, { NX: true, EX: LIFE_SECONDS })) return numero;
  }
}

app.post("/users", async (request, response) => {
  const { correo, token } = request.body;
  const earlier = await client.hGet(`correo:${correo}`, "numero");
  if (earlier) await client.del(`numero:${earlier}`);
  const numero = await drawFor(correo);
  await client.multi().hSet(`correo:${correo}`, { token, numero }).expire(`correo:${correo}`, LIFE_SECONDS).exec();
  response.json({ numero });
});

app.post("/matches", async (request, response) => {
  const correo = await client.get(`numero:${request.body.numero}`);
  const token = correo && (await client.hGet(`correo:${correo}`, "token"));
  if (!token) return response.status(404).json({});
  await client.del([`numero:${request.body.numero}`, `correo:${correo}`]);
  response.json({ token });
});

serve(app);
