// @vitest-environment happy-dom
// SPDX-License-Identifier: PostgreSQL
// What guides for FastAPI with zustand show, word for word but for where it is imported from: stores
// for two kinds of channel, a hook, handlers that write into the cache of TanStack Query.
import { QueryClient } from '@tanstack/query-core';
import { act, useEffect } from 'react';
import { createRoot } from 'react-dom/client';
import { afterEach, expect, test, vi } from 'vitest';
import { setById, upsertInList } from '../../src/tanstack-query/index.js';
import { createFakeServer } from '../../src/testing/index.js';
import { createEventSourceStore, type EventHandler } from '../../src/zustand/index.js';

(globalThis as any).IS_REACT_ACT_ENVIRONMENT = true;
afterEach(() => vi.restoreAllMocks());

const daemon = createFakeServer();
const queryClient = new QueryClient();
type WSMessage = { type: WSMessageTypeEnum; object: Record<string, any> | string };
enum WSMessageTypeEnum {
  TASK = 'task',
  DATA = 'data',
  FILE = 'file',
  RENDER_PROGRESS = 'render_progress',
}

// --- frontend/src/entities/project/store/event-source.ts ---------------------------------------
const useProjectEventSourceStore = createEventSourceStore<WSMessage>('Project', { fetch: daemon.fetch });

// --- frontend/src/entities/project/hooks/event-source.ts ----------------------------------------
type Props = {
  projectId: string;
  eventHandlers: EventHandler<WSMessage>[];
};

const useProjectEvents = ({ projectId, eventHandlers }: Props) => {
  const { initConnection, removeHandlers } = useProjectEventSourceStore();

  useEffect(() => {
    const baseUrl = process.env.NEXT_PUBLIC_API_URL ?? 'http://localhost:8000';
    const url = `${baseUrl}/api/v1/events/project.${projectId}`;

    initConnection(url, eventHandlers);

    return () => {
      removeHandlers(eventHandlers);
    };
  }, [projectId]);
};

// --- frontend/src/entities/file/hooks/event-handler.ts, with the one item that is meant -----------
const useFileEventHandler = (): EventHandler<WSMessage> => (eventData) => {
  if (eventData.type === WSMessageTypeEnum.FILE) {
    upsertInList(queryClient, ['files', 'list'], eventData.object);
    setById(queryClient, ['files', 'one'], eventData.object);
  }
};

const wait = (ms = 0) => act(() => new Promise((done) => setTimeout(done, ms)));
const send = (message: WSMessage) => daemon.raw(`data: ${JSON.stringify(message)}\n\n`);

test('two components of one project, a file in the cache, progress, another project, the end', async () => {
  const lines: string[] = [];
  vi.spyOn(console, 'log').mockImplementation((line) => void lines.push(line));
  const progress: number[] = [];
  const progressEventHandler: EventHandler<WSMessage> = (eventData) => {
    if (eventData.type === WSMessageTypeEnum.RENDER_PROGRESS) {
      const { progress: n } = eventData.object as { progress: number };
      progress.push(n);
    }
  };
  const Files = ({ projectId }: { projectId: string }) => {
    const fileEventHandler = useFileEventHandler();
    useProjectEvents({ projectId, eventHandlers: [fileEventHandler] });
    return <div>Content that updates in real-time</div>;
  };
  const Progress = ({ projectId }: { projectId: string }) => {
    useProjectEvents({ projectId, eventHandlers: [progressEventHandler] });
    return null;
  };
  queryClient.setQueryData(['files', 'list'], { items: [{ id: 1, name: 'old' }], total: 1 });
  queryClient.setQueryData(['files', 'one', 1], { id: 1, name: 'old' });
  queryClient.setQueryData(['files', 'one', 2], { id: 2, name: 'other' });

  const root = createRoot(document.body.appendChild(document.createElement('div')));
  const draw = (projectId: string) =>
    act(async () =>
      root.render(
        <>
          <Files projectId={projectId} />
          <Progress projectId={projectId} />
        </>,
      ),
    );
  await draw('7');
  await wait(10);
  expect(daemon.requests.map((r) => r.url)).toEqual(['http://localhost:8000/api/v1/events/project.7']);
  send({ type: WSMessageTypeEnum.FILE, object: { id: 1, name: 'new' } });
  for (let n = 0; n <= 100; n += 10) send({ type: WSMessageTypeEnum.RENDER_PROGRESS, object: { progress: n } });
  await wait(10);
  expect(queryClient.getQueryData(['files', 'list'])).toEqual({ items: [{ id: 1, name: 'new' }], total: 1 });
  expect(queryClient.getQueryData(['files', 'one', 1])).toEqual({ id: 1, name: 'new' });
  expect(queryClient.getQueryData(['files', 'one', 2])).toEqual({ id: 2, name: 'other' });
  expect(progress).toEqual([0, 10, 20, 30, 40, 50, 60, 70, 80, 90, 100]);

  daemon.cut();
  await wait(1500);
  send({ type: WSMessageTypeEnum.RENDER_PROGRESS, object: { progress: 7 } });
  await wait(10);
  expect(progress[progress.length - 1]).toBe(7);

  await draw('8');
  await wait(10);
  expect([daemon.streams, daemon.requests[daemon.requests.length - 1]!.url]).toEqual([1, 'http://localhost:8000/api/v1/events/project.8']);
  await act(() => root.unmount());
  expect([daemon.streams, useProjectEventSourceStore.getState().connection]).toEqual([0, null]);
  expect(lines).toContain('Project SSE connected. Channel: project.7');
});
