// SPDX-License-Identifier: PostgreSQL
// Time that passes when the test says so. Takes the place of setTimeout, setInterval and Date.now
// until `uninstall()`; what waits on promises goes on between two timers.

export interface FakeClock {
  /** ms since it was installed. */
  readonly passed: number;
  /** Lets `ms` pass, calls what falls due in order, and lets promises settle. */
  tick(ms: number): Promise<void>;
  /** The machine sleeps: time passes, and nothing is called before the next tick(). */
  sleep(ms: number): void;
  uninstall(): void;
}

interface Timer {
  at: number;
  every?: number;
  call: () => void;
}

export function installFakeClock(start = Date.now()): FakeClock {
  const real = {
    setTimeout: globalThis.setTimeout,
    clearTimeout: globalThis.clearTimeout,
    setInterval: globalThis.setInterval,
    clearInterval: globalThis.clearInterval,
    now: Date.now,
  };
  const timers = new Map<number, Timer>();
  let now = start;
  let last = 1e9; // numbers that no real timer has

  const set = (call: (...a: any[]) => void, ms = 0, every: boolean, a: any[]) => {
    timers.set(++last, { at: now + Math.max(0, ms), every: every ? Math.max(1, ms) : undefined, call: () => call(...a) });
    return last;
  };
  // A real task: streams and promises of the platform settle in between.
  const settle = () => new Promise<void>((done) => real.setTimeout(done, 0));
  const g = globalThis as any;
  g.setTimeout = (call: () => void, ms?: number, ...a: any[]) => set(call, ms, false, a);
  g.setInterval = (call: () => void, ms?: number, ...a: any[]) => set(call, ms, true, a);
  g.clearTimeout = g.clearInterval = (id: any) => void (timers.delete(id) || real.clearTimeout(id));
  Date.now = () => now;

  return {
    get passed() {
      return now - start;
    },
    sleep(ms) {
      now += ms;
    },
    async tick(ms) {
      const end = now + ms;
      await settle();
      for (;;) {
        const [id, due] = [...timers].sort((a, b) => a[1].at - b[1].at || a[0] - b[0])[0] || [];
        if (!due || due.at > end) break;
        now = Math.max(now, due.at);
        if (due.every) due.at += due.every;
        else timers.delete(id!);
        due.call();
        await settle();
      }
      now = end;
    },
    uninstall() {
      const { now: dateNow, ...rest } = real;
      Object.assign(globalThis, rest);
      Date.now = dateNow;
    },
  };
}
