/** Types of luciq-chat.js, which says what each does. */

export interface LuciqMessage {
  readonly number: number;
  /** Empty once the message was deleted. */
  readonly body: string;
  readonly created_at: string;
  /** A user's id; null for the application. */
  readonly sender: string | null;
  readonly metadata: Record<string, unknown> | null;
  /** Ids of the users whom it names. */
  readonly mentions: readonly string[];
  readonly thread?: number | null;
  readonly reply_to?: number | null;
  /** Of a reply in a thread: whether it stands in the main line too. */
  readonly in_main?: boolean;
  /** Of the content, in the chat's count of changes; 0 while it never changed. */
  readonly rev: number;
  readonly edited_at: string | null;
  readonly deleted_at: string | null;
  readonly deleted_by: string | null;
  readonly reactions: readonly LuciqReaction[];
  readonly reactions_rev: number;
  /** Of the message that begins a thread. */
  readonly reply_count?: number;
  readonly last_reply?: number;
}

export interface LuciqReaction {
  readonly name: string;
  readonly count: number;
  readonly users: readonly string[];
  readonly clipped: boolean;
}

export interface LuciqMember {
  readonly user: string;
  readonly role: "owner" | "admin" | "member" | "reader" | "banned";
  readonly [more: string]: unknown;
}

export interface LuciqUnread {
  readonly count: number;
  /** Those of them that name the user. */
  readonly mentions: number;
  /** Whether there are more than were counted. */
  readonly more: boolean;
  /** Up to where the user has read. */
  readonly read: number | null;
}

/** What the server says: a frame of a WebSocket, an event of a stream, or of `GET …/changes`. */
export interface LuciqEvent {
  readonly type: string;
  readonly cursor?: string;
  readonly chat?: number;
  readonly message?: object;
  readonly change?: object;
  readonly root?: { number: number; reply_count: number; last_reply: number };
  readonly [more: string]: unknown;
}

export interface LuciqChanges {
  /** Everything may have changed. */
  readonly reset: boolean;
  readonly added: ReadonlySet<number>;
  readonly changed: ReadonlySet<number>;
  readonly removed: ReadonlySet<number>;
  /** Of `members`, `pins`, `details`, `unread`, `typing`, `reads`. */
  readonly other: ReadonlySet<string>;
}

export type LuciqStatus = "loading" | "connecting" | "live" | "lost" | "paused" | "gone" | "closed";

export interface LuciqSnapshot {
  readonly chat: number;
  readonly status: LuciqStatus;
  readonly error: LuciqError | null;
  readonly cursor: string | null;
  readonly messages: readonly LuciqMessage[];
  readonly hasOlder: boolean;
  readonly pending: readonly LuciqOutboxItem[];
  readonly unread: LuciqUnread | null;
  /** Ids of users. */
  readonly typing: readonly string[];
  readonly members: ReadonlyMap<string, LuciqMember>;
  readonly pins: readonly number[];
  readonly details: Readonly<Record<string, unknown>>;
  readonly reads: ReadonlyMap<string, number>;
}

export class LuciqError extends Error {
  constructor(
    sentence: string, details?: { status?: number; code?: string; retryAfter?: number; problem?: object | null });
  /** 0 when no answer came. */
  readonly status: number;
  readonly code: string;
  /** In seconds. */
  readonly retryAfter: number;
  readonly problem: Record<string, unknown> | null;
  readonly isPassing: boolean;
}

export function readCursor(text: string | null | undefined): { epoch: number; n: number; r: number | null } | null;

export class ChatState {
  static asideLimit: number;
  constructor(me?: string | null);
  me: string | null;
  readonly cursor: string | null;
  readonly head: number;
  readonly ranges: { from: number; to: number }[];
  readonly hasOlder: boolean;
  readonly messages: readonly LuciqMessage[];
  readonly members: Map<string, LuciqMember>;
  readonly pins: number[];
  readonly details: Record<string, unknown>;
  readonly reads: Map<string, number>;
  readonly unread: LuciqUnread | null;
  readonly hasChanges: boolean;
  window(number: number): LuciqMessage[];
  message(number: number): LuciqMessage | undefined;
  thread(root: number): LuciqMessage[];
  /** Null if it is not known: more than ten users have reacted so. */
  hasReacted(number: number, name: string): boolean | null;
  reacted(number: number, name: string, isThere: boolean): void;
  typing(now: number): string[];
  typingUntil(now: number): number;
  takeChanges(): LuciqChanges;
  load(rows: object[], cursor: string | null, reachesStart: boolean): void;
  merge(
    rows: object[], cursor: string | null, range?: { from: number; to: number } | null,
  ): "current" | "behind" | "epoch";
  mergeList(kind: "members" | "pins", rows: object[], rev: number): void;
  mergeDetails(details: object, rev: number): void;
  readonly mustReload: boolean;
  mergeRead(answer: { number?: number; unread: number; mentions?: number; more?: boolean; as_of: string }): void;
  apply(event: LuciqEvent, now?: number): void;
  advance(cursor: string): void;
  trim(most: number): void;
}

export function closeCodeMeans(code: number): "again" | "later" | "reload" | "end";

/** Keeps texts by name. Each of its functions may return a promise. */
export interface LuciqStorage {
  keys(): string[] | Promise<string[]>;
  get(name: string): string | null | Promise<string | null>;
  set(name: string, text: string): void | Promise<void>;
  remove(name: string): void | Promise<void>;
}

export function memoryStorage(): LuciqStorage;
export function webStorage(
  storage?: Pick<Storage, "length" | "key" | "getItem" | "setItem" | "removeItem">): LuciqStorage;

export interface LuciqRequest {
  readonly chat: number;
  readonly kind: string;
  readonly method: string;
  readonly path: string;
  readonly json?: any;
  readonly ifMatch?: string;
}

export interface LuciqOutboxItem extends LuciqRequest {
  readonly id: string;
  /** Its `Idempotency-Key`. */
  readonly key: string;
  /** When it was written, in milliseconds. */
  readonly at: number;
  /** `sent`: stored, and not come by itself yet. */
  readonly state: "waiting" | "sending" | "retrying" | "refused" | "sent";
  /** Of the message that was stored. */
  readonly number: number | null;
  readonly error: { message: string; code: string; status: number } | null;
}

/** A request on its way. `done` has the server's answer, and fails when it is refused or discarded. */
export interface LuciqSending {
  readonly id: string;
  readonly done: Promise<any>;
}

export class LuciqOutbox {
  static limit: number;
  static keyLife: number;
  private constructor();
  readonly ready: Promise<void>;
  readonly isWaiting: boolean;
  items(chat?: number): LuciqOutboxItem[];
  add(request: LuciqRequest): LuciqSending;
  retry(id: string): void;
  discard(id: string): void;
  wake(): void;
}

export class LuciqChat implements AsyncIterable<LuciqSnapshot> {
  private constructor();
  readonly client: LuciqClient;
  readonly number: number;
  readonly path: string;
  readonly state: ChatState;
  readonly status: LuciqStatus;
  readonly error: LuciqError | null;
  readonly snapshot: LuciqSnapshot;
  subscribe(listener: (snapshot: LuciqSnapshot, changes: LuciqChanges) => void): () => void;
  [Symbol.asyncIterator](): AsyncGenerator<LuciqSnapshot, void, undefined>;
  ready(): Promise<LuciqChat>;
  until(condition: (chat: LuciqChat) => boolean): Promise<void>;
  caughtUp(): Promise<void>;
  loadOlder(limit?: number): Promise<boolean>;
  loadPage(place: { before?: number; after?: number; around?: number; limit?: number }): Promise<LuciqMessage[]>;
  loadThread(root: number, page?: { after?: number; before?: number; limit?: number }): Promise<LuciqMessage[]>;
  loadDetails(): Promise<Record<string, unknown>>;
  loadMembers(): Promise<Map<string, LuciqMember>>;
  loadPins(): Promise<number[]>;
  send(body: string, more?: {
    thread?: number; inMain?: boolean; replyTo?: number; metadata?: object; mentions?: string[]; sender?: string;
  }): LuciqSending;
  edit(
    number: number, changes: { body?: string; metadata?: object | null; mentions?: string[] }, options?: { ifUnchanged?: boolean },
  ): LuciqSending;
  delete(number: number, options?: { ifUnchanged?: boolean }): LuciqSending;
  react(number: number, name: string): LuciqSending;
  unreact(number: number, name: string): LuciqSending;
  pin(number: number): LuciqSending;
  unpin(number: number): LuciqSending;
  markRead(number?: number): Promise<void>;
  markUnread(number: number): Promise<void>;
  loadUnread(): Promise<LuciqUnread | null>;
  loadReads(): Promise<Map<string, number>>;
  type(): void;
  pause(): void;
  resume(): void;
  close(): void;
}

export interface LuciqOptions {
  /** The application's public id (`app_…`), or its token. */
  application: string;
  /** The server; in a page, the page's own origin without it. */
  url?: string;
  /** Gives a user token. It is called again whenever the one before is about to end, or was refused. */
  token?: () => Promise<string>;
  /** An application key: never in a page. */
  key?: string;
  /** For whom a key or the token in the path acts. */
  user?: string;
  /** `auto`: a WebSocket, or streams where there is none or it does not get through, and for keys. */
  transport?: "auto" | "websocket" | "sse";
  /** Keeps the outbox. */
  storage?: LuciqStorage;
  /** Pauses between attempts, in milliseconds; 500 and 30,000. */
  backoff?: { min?: number; max?: number };
  /** How long an answer may take, in milliseconds; 20,000. */
  timeout?: number;
  /** How long a sign of life may take when it is asked for, in milliseconds; 10,000. */
  patience?: number;
  /** How often changes are asked for where a server's streams have messages alone, in milliseconds; 5,000. */
  pollEvery?: number;
  /** For each request. */
  headers?: Record<string, string>;
  /** Told of each request that was made, and of each stream that was opened. */
  onRequest?: ((request: Record<string, any>) => void) | null;
  random?: () => number;
  fetch?: typeof globalThis.fetch;
  WebSocket?: new (url: string, protocols: string[]) => any;
}

export interface LuciqAnswer {
  value: any;
  status: number;
  /** `Luciq-Cursor`. */
  cursor: string | null;
  links: Record<string, string>;
  isReplay: boolean;
}

export class LuciqClient {
  constructor(options: LuciqOptions);
  readonly user: string | null;
  readonly path: string;
  readonly outbox: LuciqOutbox;
  open(number: number, options?: { limit?: number; most?: number; reads?: boolean }): LuciqChat;
  request(method: string, path: string, options?: { json?: any; key?: string; ifMatch?: string }): Promise<LuciqAnswer>;
  createChat(settings?: object, key?: string): Promise<number>;
  inbox(next?: string | null): Promise<{ chats: any[]; next: string | null }>;
  watchPresence(
    users: readonly string[], listener: (states: ReadonlyMap<string, "online" | "offline">) => void): () => void;
  wake(): void;
  drop(): void;
  close(): void;
}
