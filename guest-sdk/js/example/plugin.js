// The example that there is in every language; ../../example/README.md says what it does.
import { increment } from "wasmail:policy/kv@0.1.0";
import { accept, deny, denySoft, domain, failure, localPart, message, next, note } from "./build/wasmail.js";

export const manifest = {
  name: "example",
  version: "0.1.0",
  description: "The example that there is in every language.",
  readsNotes: ["/example/seen", "/example/recipients"],
  needs: ["accept-recipients"],
};

const config = { domains: [], blocked: [], greeting: "" };

export function configure(given) {
  for (const [key, value] of Object.entries(given)) {
    if (!(key in config)) throw new Error(`unknown key \`${key}\``);
    const wanted = Array.isArray(config[key]) ? "a list of texts" : "a text";
    const good = wanted === "a text" ? typeof value === "string" : Array.isArray(value) && value.every((item) => typeof item === "string");
    if (!good) throw new Error(`${key}: expected ${wanted}`);
    config[key] = value;
  }
}

const listed = (list, text) => list.some((entry) => entry.toLowerCase() === text.toLowerCase());

export function connect() {
  return next().setNote("connection", "/example/seen", 1);
}

/** Greets a sender, and says how often it has come. */
function greeted(sender) {
  if (config.greeting === "") return next();
  try {
    return accept(`${config.greeting}, ${increment(sender, 1, null)}`);
  } catch (thrown) {
    return failure(thrown)?.tag === "not-granted" ? accept(`${config.greeting}, stranger`) : next();
  }
}

export function mail(c, t) {
  const blocked = listed(config.blocked, t.reversePath);
  const answer = blocked ? deny(`${t.reversePath} is blocked here`).status("5.7.1") : greeted(t.reversePath);
  return answer.increment("connection", "senders");
}

export function rcpt(c, t, r) {
  if (localPart(r.address).toLowerCase() === "nobody") {
    return deny("no such user here\nask postmaster").status("5.1.1");
  }
  const answer = listed(config.domains, domain(r.address)) ? accept() : next();
  return answer.setNote("transaction", "/example/recipients", t.recipients.length + 1);
}

export function dataPost(c, t) {
  const subject = message.value("Subject");
  if (subject === undefined) return denySoft("come back with a subject").code(451).status("4.7.1");
  const recipients = note(t, "/example/recipients") ?? 0;
  const seen = note(c, "/example/seen") ?? 0;
  return next()
    .addHeader("X-Example", `recipients=${recipients}; subject=${[...subject].length}; body=${message.bodySize}; seen=${seen}`)
    .result("transaction", "pass", "checked");
}
