// The mail server: mails a number.
import nodemailer from "nodemailer";
import { jsonApp, serve } from "./serve.js";

const [host, port] = process.env.SMTP.split(":");
const transport = nodemailer.createTransport({ host, port: Number(port), secure: false, ignoreTLS: true, pool: true, maxMessages: Infinity });
const app = jsonApp((response) => response.status(400).json({}));

app.post("/mails", async (request, response) => {
  const { correo, numero } = request.body;
  await transport.sendMail({ from: "fiador@example.org", to: correo, subject: "Your number", text: `Your number is\n\n${numero}\n` });
  response.json({});
});

serve(app);
