// Nodemailer with a pool of connections: node bench/nodemailer.mjs PORT COUNT CONNECTIONS; prints one line of JSON.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

const nodemailer = createRequire(new URL("./node_modules/", import.meta.url))("nodemailer");
const [port, count, connections] = process.argv.slice(2).map(Number);
const { text, html } = JSON.parse(readFileSync(0, "utf8"));
const pool = nodemailer.createTransport({
  host: "127.0.0.1", port, secure: false, ignoreTLS: true, pool: true, maxConnections: connections, maxMessages: Infinity,
});
const begun = process.hrtime.bigint();
const cpu = process.cpuUsage();
let sent = 0;
const feed = async () => {  // two hundred at a time: enough for every connection, and the memory is not what waits
  while (sent < count) {
    const n = sent++;
    await pool.sendMail({
      from: "Acme <no-reply@acme.example>", to: `user${n}@example.com`, subject: `Message ${n}`, text, html,
    });
  }
};
await Promise.all(Array.from({ length: 200 }, feed));
const seconds = Number(process.hrtime.bigint() - begun) / 1e9;
const used = process.cpuUsage(cpu);
pool.close();
console.log(JSON.stringify({ seconds, cpu_s: (used.user + used.system) / 1e6 }));
