// SPDX-License-Identifier: PostgreSQL
// As much of a browser with tabs as sharing needs, in one process: a window, locks, channels. Locks
// can be told to break the news late, which real ones do to a page that hangs.

type Granted = (lock: unknown) => unknown;
interface Request {
  name: string;
  call: Granted;
  options: LockOptions;
  done: (value: unknown) => void;
  failed: (why: unknown) => void;
}

export class FakeLocks {
  /** Who has lost a lock is told only when somebody asks query(). */
  late = false;
  private held: Request[] = [];
  private queue: Request[] = [];
  private news: (() => void)[] = [];

  request = (name: string, options: LockOptions, call: Granted): Promise<unknown> =>
    new Promise((done, failed) => {
      const request = { name, call, options, done, failed };
      const holder = this.held.find((r) => r.name == name);
      const abort = () => failed(new DOMException('aborted', 'AbortError'));
      if (options.steal && holder) {
        this.held = this.held.filter((r) => r != holder);
        const tell = () => holder.failed(new DOMException('stolen', 'AbortError'));
        if (this.late) this.news.push(tell);
        else tell();
        this.grant(request);
      } else if (!holder) this.grant(request);
      else if (options.ifAvailable) Promise.resolve().then(() => done(call(null)));
      else {
        this.queue.push(request);
        options.signal?.addEventListener('abort', () => {
          this.queue = this.queue.filter((r) => r != request);
          abort();
        });
      }
    });

  private grant(request: Request): void {
    this.held.push(request);
    Promise.resolve()
      .then(() => request.call({}))
      .then((value) => {
        this.held = this.held.filter((r) => r != request);
        request.done(value);
        const next = this.queue.find((r) => r.name == request.name);
        if (!next || this.held.some((r) => r.name == request.name)) return;
        this.queue = this.queue.filter((r) => r != next);
        this.grant(next);
      });
  }

  query = async () => {
    for (const tell of this.news.splice(0)) tell();
    await new Promise((done) => setImmediate(done));
    const info = (r: Request) => ({ name: r.name });
    return { held: this.held.map(info), pending: this.queue.map(info) };
  };
}

export class FakeChannel {
  static all = new Set<FakeChannel>();
  onmessage: ((message: { data: unknown }) => void) | null = null;
  constructor(readonly name: string) {
    FakeChannel.all.add(this);
  }
  postMessage(data: unknown): void {
    const letter = structuredClone(data);
    for (const other of FakeChannel.all)
      if (other != this && other.name == this.name) setImmediate(() => FakeChannel.all.has(other) && other.onmessage?.({ data: letter }));
  }
  close(): void {
    FakeChannel.all.delete(this);
  }
}

/** Until it is called again everything is a browser; returns its locks and how to end it. */
export function installBrowser(): { locks: FakeLocks; fire: (type: string) => void; uninstall: () => void } {
  const locks = new FakeLocks();
  const names = ['window', 'document', 'navigator', 'location', 'BroadcastChannel'] as const;
  const before = names.map((name) => Object.getOwnPropertyDescriptor(globalThis, name));
  const target = new EventTarget();
  const navigator = { locks };
  const window = Object.assign(target, { navigator, BroadcastChannel: FakeChannel });
  const values = { window, document: {}, navigator, location: { href: 'http://app/' }, BroadcastChannel: FakeChannel };
  for (const name of names) Object.defineProperty(globalThis, name, { value: values[name], configurable: true, writable: true });
  return {
    locks,
    fire: (type) => void target.dispatchEvent(new Event(type)),
    uninstall() {
      FakeChannel.all.clear();
      names.forEach((name, i) => {
        if (before[i]) Object.defineProperty(globalThis, name, before[i]!);
        else delete (globalThis as any)[name];
      });
    },
  };
}
