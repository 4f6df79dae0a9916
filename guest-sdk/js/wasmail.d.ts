// Types of what wasmail.js offers to a plugin. The records are those of wit/types.wit and wit/outbound.wit, with camel case names.

export type Scope = "connection" | "transaction";
export type ResultList = "pass" | "fail" | "msg" | "skip" | "err";

export interface Remote {
  ip: string;
  port: number;
  host: string | null;
  info: string | null;
  isPrivate: boolean;
  isLocal: boolean;
  closed: boolean;
}
export interface Local {
  ip: string;
  port: number;
  host: string;
  info: string;
}
export interface Dispositions {
  accepted: number;
  deferred: number;
  rejected: number;
}
export interface Counters {
  earlyTalker: boolean;
  pipelining: boolean;
  esmtp: boolean;
  transactions: number;
  recipients: Dispositions;
  messages: Dispositions;
  errors: number;
  octets: number;
  started: number;
}
export interface Note {
  pointer: string;
  /** JSON text; `note()` reads it. */
  value: string;
}
export interface PluginResults {
  plugin: string;
  pass: string[];
  fail: string[];
  msg: string[];
  skip: string[];
  err: string[];
  extra: [string, string][];
}
export interface Connection {
  uuid: string;
  remote: Remote;
  local: Local;
  proxy: { allowed: boolean; ip: string | null; kind: "haproxy" | "xclient" | "xforward" | null };
  hello: { verb: "helo" | "ehlo"; host: string } | null;
  tls: { version: string; cipher: string; sni: string | null; peerCertificate: Uint8Array | null } | null;
  auth: { identity: string; mechanism: string } | null;
  relaying: boolean;
  counters: Counters;
  currentLine: Uint8Array;
  lastResponse: string;
  notes: Note[];
  results: PluginResults[];
}
export interface Parameter {
  keyword: string;
  value: string | null;
}
export interface Recipient {
  address: string;
  parameters: Parameter[];
}
export interface Transaction {
  uuid: string;
  reversePath: string;
  parameters: Parameter[];
  body: "seven-bit" | "eight-bit-mime" | "binary-mime";
  smtputf8: boolean;
  declaredSize: number | null;
  recipients: Recipient[];
  recipientCounts: Dispositions;
  size: number;
  notes: Note[];
  results: PluginResults[];
}
export interface Field {
  name: string;
  /** Unfolded, without white space around it. */
  value: string;
}
export interface Address {
  group: string | null;
  name: string | null;
  address: string | null;
}
export interface Media {
  name: string;
  parameters: { name: string; value: string }[];
}
export interface Part {
  index: number;
  parent: number | null;
  hasParts: boolean;
  mediaType: Media;
  detectedType: string | null;
  disposition: string | null;
  name: string | null;
  encoding: string;
  offset: number;
  size: number;
}
/** The message, at `part`, `dataPost`, `queue`, `queueOutbound` and the hooks of delivery; to read it elsewhere is a fault. */
export const message: {
  /** Octets of the body. */
  readonly bodySize: number;
  /** The header fields, first one on top. */
  fields(): Field[];
  /** The values of the fields of a name; case means nothing. */
  values(name: string): string[];
  /** The first of them. */
  value(name: string): string | undefined;
  /** Where they stand, counted from 0 at the top. */
  positions(name: string): number[];
  rawField(position: number): Uint8Array | null;
  decodedField(position: number): string | null;
  /** The first field of a name with its encoded words decoded. */
  decoded(name: string): string | undefined;
  addresses(name: string): Address[];
  date(name: string): { seconds: number; zone: number } | undefined;
  messageIds(name: string): string[];
  mediaType(name: string): Media | undefined;
  /** The MIME parts, and the first limit that was passed. */
  structure(): { parts: Part[]; passed: "parts" | "depth" | "header" | null };
  partFields(part: number): Field[];
  /** The decoded content of a part, in pieces of at most 65 536 octets. */
  part(part: number, piece?: number): Generator<Uint8Array>;
  /** The body, in pieces of at most 65 536 octets. */
  body(piece?: number): Generator<Uint8Array>;
};
export interface AuthAttempt {
  mechanism: string;
  /** None without the grant `credentials`. */
  credentials:
    | { tag: "password"; val: { user: string; password: string } }
    | { tag: "token"; val: { user: string; token: string } }
    | null;
}
export interface Denial {
  hook: string;
  plugin: string;
  kind: "deny" | "deny-soft" | "deny-disconnect" | "deny-soft-disconnect";
  reply: { code: number | null; enhanced: { class: number; subject: number; detail: number } | null; lines: string[] } | null;
}
/** A recipient of a message in the queue. */
export interface Target {
  address: string;
  parameters: Parameter[];
  /** Those that were made before this one. */
  attempts: number;
}
/** One message on its way to the recipients of one domain. */
export interface Consignment {
  queueId: string;
  uuid: string;
  reversePath: string;
  parameters: Parameter[];
  smtputf8: boolean;
  size: number;
  /** Seconds since 1970. */
  accepted: number;
  expires: number;
  destination: string;
  route: string | null;
  targets: Target[];
  notes: Note[];
}
/** What was said of one recipient, or why it was not reached. */
export interface TargetAnswer {
  /** Index into `targets`. */
  target: number;
  /** None when no server said anything. */
  code?: number | null;
  enhanced?: { class: number; subject: number; detail: number } | null;
  lines: string[];
  host?: string | null;
}
/** A server to deliver to. */
export interface Exchange {
  /** A host name or an address. */
  host: string;
  /** Lower is tried first; its place in the list when nothing is said. */
  preference?: number;
  port?: number;
}
export type Fact = "relaying" | "remoteHost" | "reversePath" | "recipients" | "message" | "delivery" | "skips";
/** What `plugin.js` exports as `manifest`; wit/hooks.wit says what each means. */
export interface Manifest {
  name: string;
  version?: string;
  description?: string;
  readsNotes?: string[];
  readsResults?: string[];
  needs?: string[];
  /** JSON Schema, as an object or as text. */
  configSchema?: object | string;
  footprint?: { reads?: Fact[]; writes?: Fact[]; writesNotes?: string[] };
}
export type Fate = "queued" | "taken" | "deferred" | "rejected" | "abandoned";

/** What a hook answers: a verdict, and changes in order. Every method returns the answer itself. */
export class Answer {
  readonly verdict: string;
  code(code: number): this;
  /** An enhanced status code, such as `5.7.1`. */
  status(status: string): this;
  setNote(scope: Scope, pointer: string, value: unknown): this;
  removeNote(scope: Scope, pointer: string): this;
  result(scope: Scope, list: ResultList, text: string): this;
  increment(scope: Scope, key: string, by?: number): this;
  pushResult(scope: Scope, key: string, value: unknown): this;
  setResult(scope: Scope, key: string, value: unknown): this;
  addHeader(name: string, value: string): this;
  prependHeader(name: string, value: string): this;
  replaceHeader(position: number, name: string, value: string): this;
  removeHeader(position: number): this;
  addRecipient(address: string, parameters?: Parameter[]): this;
  removeRecipient(position: number): this;
  rewriteRecipient(position: number, address: string, parameters?: Parameter[]): this;
  /** The empty text is the null path. */
  setReversePath(address: string): this;
  /** A text to be put below what the author wrote: plain, as HTML, or both. */
  addBanner(banner: { text?: string; html?: string }): this;
  replacePart(part: number, mediaType: string, content: Uint8Array, name?: string): this;
  removePart(part: number): this;
  /** One of the operator's routes; null for the usual way. */
  setRoute(name: string | null): this;
  quarantine(reason: string): this;
  setRelaying(relaying: boolean): this;
  setRemoteHost(host: string | null): this;
  /** Milliseconds, 30 000 at most. */
  delay(milliseconds: number): this;
  skipPlugin(name: string): this;
  addCapability(line: string): this;
  /** A mutation by its name in WIT, for those without a method. */
  change(tag: string, val: unknown): this;
}

/** No opinion: the next plugin is asked; at the hooks of delivery, the host does as usual. A hook that returns nothing says the same. */
export function next(): Answer;
/** Good, and no further plugin is asked. */
export function accept(text?: string): Answer;
/** Refuses for good; lines are parted by `\n`. */
export function deny(text?: string): Answer;
/** Refuses for now. */
export function denySoft(text?: string): Answer;
export function denyDisconnect(text?: string): Answer;
export function denySoftDisconnect(text?: string): Answer;
/** Closes the connection without a word. */
export function disconnect(): Answer;
/** `unrecognizedCommand` alone: the host carries this line out instead. */
export function readAs(line: string): Answer;
/** The hook `deny` alone: the refusal is overturned. */
export function overturn(text?: string): Answer;

/** `preSend`, `getMx` and `deferred`: tried again after so many seconds; when the schedule says, at `preSend` and `getMx`, without them. */
export function delay(seconds?: number): Answer;
/** `preSend`: the recipients bounce with this text and its `status()`; `deferred`, without a text: they are given up. */
export function bounce(text?: string): Answer;
/** `preSend`: goes by this route of the operator's, this time. */
export function route(name: string): Answer;
/** `send`: the plugin has delivered, or tried to; an answer for each target, made by `answerFor`. */
export function done(answers: TargetAnswer[]): Answer;
/** `getMx`: these servers, each a host name or an address, or with a preference and a port; none: the domain takes no mail. */
export function exchanges(servers: (string | Exchange)[]): Answer;
/** `bounce`: the sender is not told. */
export function silence(): Answer;
/** What became of a target, by its index: 2yz, it has the message; 4yz, to be tried again; 5yz, it never will. */
export function answerFor(target: number, code: number, text?: string, more?: { status?: string; host?: string }): TargetAnswer;
/** All that was said of a target, in one line, with the codes in front. */
export function answerText(answer: TargetAnswer): string;

/** Why a function of a capability failed, as `wit/capabilities.wit` and the capability's own file have it. */
export interface Failure {
  tag: string;
  val?: any;
}
/** What a capability's function threw; undefined for any other exception. */
export function failure(thrown: unknown): Failure | undefined;

/** The value of a note that the manifest asks for. */
export function note(of: Connection | Transaction | Consignment, pointer: string): any;
/** What a plugin recorded, if the manifest asks for it. */
export function results(of: Connection | Transaction, plugin: string): PluginResults | undefined;
/** What stands behind the last `@`, and before it. */
export function domain(address: string): string;
export function localPart(address: string): string;
/** Lines for the operator's log. */
export const log: Record<"debug" | "info" | "warn" | "error", (...words: unknown[]) => void>;
