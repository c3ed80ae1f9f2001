// The API gateway: takes the external server's calls, asks the Redis server, lets the mail server send.
import { jsonApp, post, serve } from "./serve.js";

const { REDIS_SERVER, MAIL_SERVER } = process.env;
const wrongFormat = (response) => response.status(400).send("wrong Json format");
const hasOnly = (body, names) =>
  body && Object.keys(body).length === names.length && names.every((name) => typeof body[name] === "string");

const app = jsonApp(wrongFormat);

app.post("/registrar", async (request, response) => {
  if (!hasOnly(request.body, ["correo", "token"])) return wrongFormat(response);
  const { correo, token } = request.body;
  const stored = await post(`${REDIS_SERVER}/users`, { correo, token });
  post(`${MAIL_SERVER}/mails`, { correo, numero: stored.body.numero }).catch((error) => console.error(error.message));
  response.send("correo y token registrados");
});

app.post("/validar", async (request, response) => {
  if (!hasOnly(request.body, ["numero"])) return wrongFormat(response);
  const found = await post(`${REDIS_SERVER}/matches`, { numero: request.body.numero });
  if (found.status !== 200) return response.status(400).send("no hay token");
  response.json({ token: found.body.token });
});

serve(app);
