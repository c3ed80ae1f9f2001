// What the three servers share.
import express from "express";

// Serves `app` on a free port and says where.
export function serve(app) {
  const server = app.listen(0, "127.0.0.1", () => {
    console.log(`${process.argv[1]} listens on http://127.0.0.1:${server.address().port}`);
  });
}

// An Express app that reads JSON; a body that is none gets `refuse`.
export function jsonApp(refuse) {
  const app = express();
  app.use(express.json());
  app.use((_error, _request, response, _next) => refuse(response));
  return app;
}

// Posts JSON to another of the servers.
export async function post(url, body) {
  const response = await fetch(url, { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body) });
  return { status: response.status, body: await response.json() };
}
