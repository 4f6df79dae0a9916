// Refuses mail from listed senders. A start: change it into what you need.
import { deny, next } from "./build/wasmail.js";

/** @type {import("./build/wasmail.js").Manifest} */
export const manifest = {
  name: "{{name}}",
  version: "0.1.0",
  description: "Refuses mail from listed senders.",
};

// It lives as long as the instance, which the server may drop at any moment: what must last belongs into notes.
let senders = [];

/** Takes what the operator writes below `[plugin.config]`. What is thrown says what is wrong with it. */
export function configure(config) {
  const unknown = Object.keys(config).find((key) => key !== "senders");
  if (unknown) throw new Error(`unknown key \`${unknown}\`; there is \`senders\``);
  if (!Array.isArray(config.senders)) throw new Error("senders: expected a list of addresses");
  senders = config.senders.map((sender, at) => {
    if (typeof sender !== "string" || !sender.includes("@")) throw new Error(`senders[${at}]: this is no address`);
    return sender.toLowerCase();
  });
}

export function mail(connection, transaction) {
  if (senders.includes(transaction.reversePath.toLowerCase())) return deny("We take no mail from you").status("5.7.1");
  return next();
}
