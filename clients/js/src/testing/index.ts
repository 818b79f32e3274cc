// SPDX-License-Identifier: PostgreSQL
export { installFakeClock, type FakeClock } from './clock.js';
export { createMockHerald, type MockHerald } from './mock.js';
export { createFakeServer, type FakeRequest, type FakeServer, type FakeServerOptions } from './server.js';
