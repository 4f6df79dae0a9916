// Says about delivery what it is told to, and logs what it is asked, as ../src/lib.rs does.
import { answerFor, answerText, bounce as refuse, delay, done, exchanges, log, message, next, note, route, silence } from "./build/wasmail.js";

export const manifest = { name: "judges", version: "0.1.0", readsNotes: ["/judges/subject"], needs: ["take-messages", "route"] };

let sayings = {};

export function configure(given) {
  sayings = given;
}

/** A verdict's name and what stands behind it, at the first attempt; later it has no opinion. */
function at(hook, c) {
  const targets = c.targets.map((target) => `${target.address}#${target.attempts}`).join(" ");
  log.info(`${hook} ${c.destination} [${targets}] from ${c.reversePath}, noted ${note(c, "/judges/subject") ?? "nothing"}`);
  const fresh = c.targets.every((target) => target.attempts === 0) || hook === "bounce";
  const saying = (fresh && sayings[`${hook} ${c.destination}`]) || "next";
  const end = saying.indexOf(" ");
  return end < 0 ? [saying, ""] : [saying.slice(0, end), saying.slice(end + 1)];
}

const seconds = (text) => (text === "" ? undefined : Number(text));

const tell = (what, answers) => answers.forEach((answer) => log.info(`${what}: ${answerText(answer)}`));

export function dataPost() {
  return next().setNote("transaction", "/judges/subject", message.value("Subject"));
}

export function preSend(c) {
  log.info(`about ${message.value("Subject")}, ${message.bodySize} octets of body`);
  const [verdict, rest] = at("pre-send", c);
  if (verdict === "trap") throw new Error("told to");
  const verdicts = {
    delay: () => delay(seconds(rest)),
    bounce: () => refuse(rest),
    route: () => route(rest),
    wrong: silence,
    change: () => next().setNote("transaction", "/judges/late", true),
  };
  return verdicts[verdict]?.();
}

export function send(c) {
  const [verdict, rest] = at("send", c);
  if (verdict !== "done") return next();
  const text = `${rest.slice(4)} ${message.value("Subject")}`;
  return done(c.targets.map((_, target) => answerFor(target, Number(rest.slice(0, 3)), text)));
}

export function getMx(c) {
  const [verdict, rest] = at("get-mx", c);
  const colon = rest.lastIndexOf(":");
  const server = { host: rest.slice(0, colon), preference: 10, port: Number(rest.slice(colon + 1)) };
  if (verdict === "exchange") return exchanges([server]);
  if (verdict === "none") return exchanges([]);
  return verdict === "delay" ? delay(seconds(rest)) : null;
}

export function delivered(c, answers) {
  at("delivered", c);
  tell("delivered", answers);
}

export function deferred(c, answers) {
  tell("deferred", answers);
  const [verdict, rest] = at("deferred", c);
  if (verdict === "delay") return delay(seconds(rest));
  return verdict === "bounce" ? refuse() : next();
}

export function bounce(c, answers) {
  tell("bounces", answers);
  return at("bounce", c)[0] === "silence" ? silence() : next();
}
