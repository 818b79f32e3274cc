// SPDX-License-Identifier: PostgreSQL
// For the browser's console: what comes over the bus, and events that nobody has sent.

import { eventBus, type EventBus } from './bus.js';

const TYPES = [
  'estimate.created', 'estimate.updated', 'estimate.deleted', 'project.created', 'project.updated',
  'system.connectionLost', 'system.connectionRestored', 'system.resync',
];

export class SSEDemo {
  private offs: (() => void)[] = [];
  private received: Record<string, number> = {};
  private since = 0;
  constructor(readonly bus: EventBus = eventBus) {}

  startListening(): void {
    if (this.offs.length) return;
    this.since = Date.now();
    this.offs = TYPES.map((type) =>
      this.bus.subscribe(type, (data) => {
        this.received[type] = (this.received[type] || 0) + 1;
        console.log('[SSE]', type, data);
      }),
    );
    console.log('[SSE] listening to', TYPES.join(', '));
  }

  stopListening(): void {
    for (const off of this.offs.splice(0)) off();
    console.log('[SSE] stopped listening');
  }

  getStatus(): { listening: boolean; seconds: number; received: Record<string, number> } {
    const listening = this.offs.length > 0;
    const status = { listening, seconds: listening ? Math.round((Date.now() - this.since) / 1000) : 0, received: { ...this.received } };
    console.log('[SSE] status', status);
    return status;
  }
}

let last = 0;
const estimate = (status: string) => ({
  estimate_id: 9_000_000 + last,
  estimate_number: `Тестовая смета ${last}`,
  project_id: 456,
  project_name: 'Тестовый объект',
  foreman_id: 789,
  foreman_name: 'Тестовый прораб',
  creator_id: 101,
  creator_name: 'Тестовый менеджер',
  status,
  created_at: new Date().toISOString(),
});

/** They go over the bus of this tab, and neither to the server nor to anybody else. */
export const SSETestUtils = {
  bus: eventBus,
  createTestEstimateEvent(type = 'estimate.created', status = 'Черновик') {
    if (type == 'estimate.created') last++;
    const data = estimate(status);
    SSETestUtils.bus.publish(type, data);
    return data;
  },
  /** An estimate's life, and a connection that is lost and comes back. */
  async runTestSequence(pause = 500): Promise<void> {
    const steps: (() => unknown)[] = [
      () => SSETestUtils.createTestEstimateEvent(),
      () => SSETestUtils.createTestEstimateEvent('estimate.updated', 'На согласовании'),
      () => SSETestUtils.bus.publish('project.updated', { project_id: 456, project_name: 'Тестовый объект, корпус 2' }),
      () => SSETestUtils.bus.publish('system.connectionLost'),
      () => SSETestUtils.bus.publish('system.connectionRestored'),
      () => SSETestUtils.createTestEstimateEvent('estimate.deleted'),
    ];
    for (const step of steps) {
      step();
      await new Promise((done) => setTimeout(done, pause));
    }
  },
};

/** Makes `SSEDemo` and `SSETestUtils` names of the console. */
export function installConsole(bus: EventBus = eventBus): void {
  SSETestUtils.bus = bus;
  Object.assign(globalThis, {
    SSETestUtils,
    SSEDemo: class extends SSEDemo {
      constructor() {
        super(bus);
      }
    },
  });
}
