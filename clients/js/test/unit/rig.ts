// SPDX-License-Identifier: PostgreSQL
// A client on a fake server, with a clock that stands still.
import { afterEach, beforeEach } from 'vitest';
import { createHerald, type Herald, type HeraldEvent, type HeraldOptions } from '../../src/index.js';
import { createFakeServer, installFakeClock, type FakeClock, type FakeServerOptions } from '../../src/testing/index.js';

export let clock: FakeClock;
const made: Herald[] = [];

export function useClock(): void {
  beforeEach(() => {
    clock = installFakeClock(1_700_000_000_000);
  });
  afterEach(async () => {
    for (const herald of made.splice(0)) herald.close();
    await clock.tick(0);
    clock.uninstall();
  });
}

export function rig(options: Partial<HeraldOptions> = {}, server: FakeServerOptions = {}) {
  const daemon = createFakeServer(server);
  const herald = createHerald({ url: '/events/', fetch: daemon.fetch, ...options });
  const heard: string[] = [];
  const states: string[] = [];
  made.push(herald);
  herald.subscribe(() => {
    const { state } = herald.status;
    if (states[states.length - 1] != state) states.push(state);
  });
  const listen = (types: string | string[] = '*') =>
    herald.on(types, (data: any, event: HeraldEvent) => heard.push(event.type + ' ' + JSON.stringify(data)));
  return { daemon, herald, heard, states, listen };
}
