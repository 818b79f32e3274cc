// SPDX-License-Identifier: PostgreSQL
// The parts of rig.py from Node, and the pages that it serves.
import { spawn, type ChildProcess } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, connect, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { build } from 'esbuild';

export interface User {
  id: number;
  role: string;
  token: string;
}

export class Rig {
  port = 0;
  /** The daemon's own port, for pages of another origin. */
  daemon = 0;
  users: Record<string, User> = {};
  #process!: ChildProcess;
  #answers!: AsyncIterator<string>;
  /** The pages that nginx serves, unless others were named. */
  readonly pages = mkdtempSync(join(tmpdir(), 'pgherald-pages-'));

  /** With the lab's page, or with those of a directory. */
  static async start(pages?: string): Promise<Rig> {
    const rig = new Rig();
    if (!pages) await rig.#lab();
    rig.#process = spawn(process.env.PYTHON || '/usr/bin/python3', [join(import.meta.dirname, 'rig.py'), pages || rig.pages], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    rig.#answers = createInterface({ input: rig.#process.stdout! })[Symbol.asyncIterator]();
    const { value, done } = await rig.#answers.next();
    if (done) throw new Error('rig.py did not start');
    return Object.assign(rig, JSON.parse(value));
  }

  async #lab(): Promise<void> {
    await build({
      entryPoints: { lab: join(import.meta.dirname, 'lab.ts') },
      outdir: this.pages,
      bundle: true,
      format: 'esm',
      target: 'es2020',
      define: { 'process.env.NODE_ENV': '"development"' },
    });
    writeFileSync(join(this.pages, 'index.html'), '<!doctype html><title>lab</title><script type="module" src="/lab.js"></script>');
  }

  async call(what: string, more: object = {}): Promise<any> {
    this.#process.stdin!.write(JSON.stringify({ do: what, ...more }) + '\n');
    const { value } = await this.#answers.next();
    const { result, error } = JSON.parse(value!);
    if (error) throw new Error(`${what}: ${error}`);
    return result;
  }

  get origin(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  async stop(): Promise<void> {
    const ended = new Promise((done) => this.#process.once('exit', done));
    this.#process.stdin!.end();
    await ended;
    rmSync(this.pages, { recursive: true, force: true });
  }
}

/** Between browser and nginx: what can happen to bytes on their way. */
export class Relay {
  port = 0;
  #server!: Server;
  #pairs = new Set<[Socket, Socket]>();
  #silent = false;
  #down = false;

  static async start(to: number): Promise<Relay> {
    const relay = new Relay();
    relay.#server = createServer((near) => {
      if (relay.#down) return near.resetAndDestroy();
      const far = connect(to, '127.0.0.1');
      const pair: [Socket, Socket] = [near, far];
      relay.#pairs.add(pair);
      // Not pipe(): that keeps the other side open when one is torn.
      near.on('data', (bytes) => far.write(bytes));
      far.on('data', (bytes) => relay.#silent || near.write(bytes));
      for (const [one, other] of [[near, far], [far, near]] as const) {
        one.on('error', () => {});
        one.on('close', () => {
          other.destroy();
          relay.#pairs.delete(pair);
        });
      }
    });
    await new Promise<void>((done) => relay.#server.listen(0, '127.0.0.1', done));
    relay.port = (relay.#server.address() as { port: number }).port;
    return relay;
  }

  get origin(): string {
    return `http://127.0.0.1:${this.port}`;
  }
  /** Connections stay open, and nothing comes any more. */
  silence(on: boolean): void {
    this.#silent = on;
  }
  /** A cable that is pulled; `down`: and stays so. */
  cut(down = false): void {
    this.#down = down;
    for (const [near] of this.#pairs) near.resetAndDestroy();
  }
  mend(): void {
    this.#down = this.#silent = false;
  }
  stop(): void {
    this.cut(true);
    this.#server.close();
  }
}

/** The first true value; what is waited for is said when it does not come. */
export async function until<T>(what: string, look: () => T | Promise<T>, seconds = 60): Promise<NonNullable<T>> {
  const end = Date.now() + seconds * 1000;
  for (;;) {
    const value = await look();
    if (value) return value as NonNullable<T>;
    if (Date.now() > end) throw new Error('never happened: ' + what);
    await new Promise((done) => setTimeout(done, 20));
  }
}
