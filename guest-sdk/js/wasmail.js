// Plugins for wasmail in JavaScript. What it offers is described in wasmail.d.ts.
import { log as logLine } from "wasmail:policy/log@0.1.0";
import * as host from "wasmail:policy/message@0.1.0";

const scopeOf = (scope) => {
  if (scope !== "connection" && scope !== "transaction") throw new TypeError(`no scope: ${scope}`);
  return scope;
};

const linesOf = (text) => (text === undefined || text === null ? [] : String(text).split("\n"));

const enhancedOf = (status) => {
  const parts = /^([245])\.(\d{1,3})\.(\d{1,3})$/.exec(status);
  if (!parts) throw new TypeError(`a status is written as 5.7.1, not ${status}`);
  const [class_, subject, detail] = parts.slice(1).map(Number);
  return { class: class_, subject, detail };
};

const statusText = ({ class: class_, subject, detail }) => `${class_}.${subject}.${detail}`;

/** What a hook answers: a verdict, and changes in order. Every method returns the answer itself. */
export class Answer {
  #mutations = [];

  constructor(verdict, text, value) {
    this.verdict = verdict;
    this.reply = text === undefined || text === null ? undefined : { lines: linesOf(text) };
    this.value = value;
  }

  get mutations() {
    return this.#mutations;
  }

  code(code) {
    this.reply = { lines: [], ...this.reply, code };
    return this;
  }

  status(status) {
    this.reply = { lines: [], ...this.reply, enhanced: enhancedOf(status) };
    return this;
  }

  change(tag, val) {
    this.#mutations.push({ tag, val });
    return this;
  }

  setNote(scope, pointer, value) {
    return this.change("set-note", { scope: scopeOf(scope), pointer, value: JSON.stringify(value) });
  }

  removeNote(scope, pointer) {
    return this.change("remove-note", { scope: scopeOf(scope), pointer });
  }

  result(scope, list, text) {
    return this.change("add-result", { scope: scopeOf(scope), list, text });
  }

  increment(scope, key, by = 1) {
    return this.change("incr-result", { scope: scopeOf(scope), key, by });
  }

  pushResult(scope, key, value) {
    return this.change("push-result", { scope: scopeOf(scope), key, value: JSON.stringify(value) });
  }

  setResult(scope, key, value) {
    return this.change("set-result", { scope: scopeOf(scope), key, value: JSON.stringify(value) });
  }

  addHeader(name, value) {
    return this.change("add-header", { name, value });
  }

  prependHeader(name, value) {
    return this.change("prepend-header", { name, value });
  }

  replaceHeader(position, name, value) {
    return this.change("replace-header", { position, name, value });
  }

  removeHeader(position) {
    return this.change("remove-header", position);
  }

  addRecipient(address, parameters = []) {
    return this.change("add-recipient", { address, parameters });
  }

  removeRecipient(position) {
    return this.change("remove-recipient", position);
  }

  rewriteRecipient(position, address, parameters) {
    return this.change("rewrite-recipient", { position, address, parameters });
  }

  setReversePath(address) {
    return this.change("set-reverse-path", address);
  }

  addBanner({ text, html }) {
    return this.change("add-banner", { text, html });
  }

  replacePart(part, mediaType, content, name) {
    return this.change("replace-part", { part, mediaType, name, content });
  }

  removePart(part) {
    return this.change("remove-part", part);
  }

  setRoute(name) {
    return this.change("set-route", name);
  }

  quarantine(reason) {
    return this.change("quarantine", reason);
  }

  setRelaying(relaying) {
    return this.change("set-relaying", relaying);
  }

  setRemoteHost(host) {
    return this.change("set-remote-host", host);
  }

  delay(milliseconds) {
    return this.change("delay", milliseconds);
  }

  skipPlugin(name) {
    return this.change("skip-plugin", name);
  }

  addCapability(line) {
    return this.change("add-capability", line);
  }
}

export const next = () => new Answer("next");
export const accept = (text) => new Answer("accept", text);
export const deny = (text) => new Answer("deny", text);
export const denySoft = (text) => new Answer("deny-soft", text);
export const denyDisconnect = (text) => new Answer("deny-disconnect", text);
export const denySoftDisconnect = (text) => new Answer("deny-soft-disconnect", text);
export const disconnect = () => new Answer("disconnect");
export const readAs = (line) => new Answer("read-as", line);
export const overturn = (text) => new Answer("overturn", text);

// Verdicts of the hooks of delivery.

const whole = (value, most, what) => {
  if (!Number.isInteger(value) || value < 0 || value > most) throw new TypeError(`${what}: ${value} is no whole number from 0 to ${most}`);
  return value;
};

const listOf = (given, what) => {
  if (!Array.isArray(given)) throw new TypeError(`${what} takes a list`);
  return given;
};

const exchangeOf = (given, at) => {
  const { host, preference, port } = typeof given === "string" ? { host: given } : given;
  if (typeof host !== "string") throw new TypeError(`exchanges: number ${at} has no host`);
  return {
    host,
    preference: whole(preference ?? at, 0xffff, "preference"),
    port: port === undefined || port === null ? undefined : whole(port, 0xffff, "port"),
  };
};

export const delay = (seconds) =>
  new Answer("delay", undefined, seconds === undefined || seconds === null ? undefined : whole(seconds, 0xffffffff, "delay"));
export const bounce = (text) => new Answer("bounce", text);
export const route = (name) => new Answer("route", name);
export const done = (answers) => new Answer("done", undefined, listOf(answers, "done"));
export const exchanges = (servers) => new Answer("exchanges", undefined, listOf(servers, "exchanges").map(exchangeOf));
export const silence = () => new Answer("silence");

/** What became of a target, by its index. */
export const answerFor = (target, code, text, { status, host } = {}) => ({
  target: whole(target, 0xffffffff, "target"),
  code: whole(code, 0xffff, "code"),
  enhanced: status === undefined || status === null ? undefined : enhancedOf(status),
  lines: linesOf(text),
  host,
});

/** All that was said of a target, in one line, with the codes in front. */
export const answerText = ({ code, enhanced, lines }) =>
  [code, enhanced && statusText(enhanced), ...lines].filter((part) => part !== null && part !== undefined).join(" ");

/** The value of a note that the manifest asks for, of a connection, a transaction or a consignment. */
export function note(of, pointer) {
  const found = of.notes.find((one) => one.pointer === pointer);
  return found === undefined ? undefined : JSON.parse(found.value);
}

/** What a plugin recorded, if the manifest asks for it. */
export const results = (of, plugin) => of.results.find((one) => one.plugin === plugin);

const lastAt = (address) => address.lastIndexOf("@");
/** What stands behind the last `@`; nothing when there is none. */
export const domain = (address) => (lastAt(address) < 0 ? "" : address.slice(lastAt(address) + 1));
/** What stands before the last `@`. */
export const localPart = (address) => (lastAt(address) < 0 ? address : address.slice(0, lastAt(address)));

/** Calls `read(offset, length)` until it gives no more. */
function* pieces(read, piece) {
  for (let offset = 0; ; ) {
    const octets = read(offset, piece);
    if (octets.length === 0) return;
    yield octets;
    offset += octets.length;
  }
}

export const message = {
  get bodySize() {
    return Number(host.bodySize());
  },
  fields: () => host.fields(),
  values: (name) => host.values(name),
  value: (name) => host.values(name)[0],
  positions: (name) =>
    host.fields().flatMap((field, at) => (field.name.toLowerCase() === name.toLowerCase() ? [at] : [])),
  rawField: (position) => host.rawField(position),
  decodedField: (position) => host.decodedField(position),
  decoded: (name) => message.positions(name).map((at) => host.decodedField(at))[0],
  addresses: (name) => message.positions(name).flatMap((at) => host.addresses(at)),
  date: (name) => message.positions(name).map((at) => host.date(at))[0],
  messageIds: (name) => message.positions(name).flatMap((at) => host.messageIds(at)),
  mediaType: (name) => message.positions(name).map((at) => host.mediaType(at))[0],
  structure: () => host.readStructure(),
  partFields: (part) => host.partFields(part),
  part: (part, piece = 65536) => pieces((offset, length) => host.readPart(part, offset, length), piece),
  body: (piece = 65536) => pieces((offset, length) => host.readBody(offset, length), piece),
};

const logAt = (level) => (...words) => logLine(level, words.map(String).join(" "));
/**
 * Why a function of a capability failed: `{ tag: "not-granted" }`, or with what the case carries in `val`. Undefined for
 * any other exception.
 */
export const failure = (thrown) => (typeof thrown?.payload?.tag === "string" ? thrown.payload : undefined);

export const log = { debug: logAt("debug"), info: logAt("info"), warn: logAt("warn"), error: logAt("error") };

// What follows is for the module that `wasmail plugin build` writes.

/** The manifest with everything in it. */
export function described(manifest) {
  if (!manifest?.name) throw new TypeError("plugin.js exports no manifest with a name");
  const { configSchema, footprint } = manifest;
  return {
    version: "0.0.0",
    description: "",
    readsNotes: [],
    readsResults: [],
    needs: [],
    ...manifest,
    configSchema: typeof configSchema === "object" ? JSON.stringify(configSchema) : configSchema,
    footprint: footprint && { reads: flags(footprint.reads), writes: flags(footprint.writes), writesNotes: footprint.writesNotes ?? [] },
  };
}

const FACTS = ["relaying", "remoteHost", "reversePath", "recipients", "message", "delivery", "skips"];

function flags(names = []) {
  for (const name of names) if (!FACTS.includes(name)) throw new TypeError(`footprint: ${name} is none of ${FACTS.join(", ")}`);
  return Object.fromEntries(FACTS.map((name) => [name, names.includes(name)]));
}

/** Answers a hook. `verdicts` says what each verdict carries there; it is empty where there are changes alone. */
export function answered(hook, verdicts, answer = next()) {
  if (!(answer instanceof Answer)) throw new TypeError(`${hook} returned no answer: return next(), deny(text) and the like`);
  const mutations = answer.mutations;
  if (Object.keys(verdicts).length === 0) {
    if (answer.verdict !== "next") throw new TypeError(`${hook} knows no ${answer.verdict}: it answers with next() alone`);
    return { mutations };
  }
  const carries = verdicts[answer.verdict];
  if (carries === undefined) throw new TypeError(`${hook} knows no ${answer.verdict}`);
  const line = answer.reply?.lines[0];
  const values = { nothing: undefined, reply: answer.reply, "optional text": line, text: line ?? "" };
  return { verdict: { tag: answer.verdict, val: values[carries] }, mutations };
}

/** Answers a hook of delivery. `verdicts` says what each verdict carries there. */
export function judged(hook, verdicts, given) {
  const answer = given ?? next();
  if (!(answer instanceof Answer)) throw new TypeError(`${hook} returned no answer: return next(), delay(60) and the like`);
  const { verdict, reply, value, mutations } = answer;
  const carries = verdicts[verdict];
  if (carries === undefined) throw new TypeError(`${hook} knows no ${verdict}: there are ${Object.keys(verdicts).join(", ")}`);
  const wrong = (why) => new TypeError(`${hook}: ${verdict} ${why}`);
  if (mutations.length > 0) throw wrong(`cannot come with ${mutations[0].tag}: nothing of the message can be changed`);
  if (reply?.code !== undefined) throw wrong("has no code");
  const text = reply && [...(reply.enhanced ? [statusText(reply.enhanced)] : []), ...reply.lines].join(" ");
  if (carries === "nothing" && (text ?? value) !== undefined) throw wrong("carries nothing here");
  if (carries !== "optional text" && reply?.enhanced) throw wrong("has no status");
  if (carries === "text" && text === undefined) throw wrong("needs a text");
  if (carries === "seconds" && value === undefined) throw wrong("needs to know how many seconds");
  return { tag: verdict, val: carries.endsWith("text") ? text : value };
}

/** A hook that answers nothing. */
export const nothing = () => undefined;

/** Hands over a configuration; what the author's function throws is why it is refused. */
export function configured(configure, json) {
  try {
    configure(JSON.parse(json));
  } catch (error) {
    throw error instanceof Error ? error.message : String(error);
  }
}
