// @vitest-environment happy-dom
// SPDX-License-Identifier: PostgreSQL
// What guides for FastAPI with zustand show, word for word but for where it is imported from: stores
// for two kinds of channel, a hook, components, handlers that write into the cache of TanStack Query.
import { QueryClient } from '@tanstack/query-core';
import { act, useEffect, type ReactNode } from 'react';
import { createRoot } from 'react-dom/client';
import { afterEach, expect, test, vi } from 'vitest';
import { setById, upsertInList } from '../../src/tanstack-query/index.js';
import { createFakeServer } from '../../src/testing/index.js';
import { createEventSourceStore, type EventHandler as Handler } from '../../src/zustand/index.js';

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

type EventHandler = Handler<WSMessage>;

// --- what stands in the guide's application beside it ----------------------------------------------
const useQueryClient = () => queryClient;
type IFileRead = { id: number; name: string };
type IResponsePaginated_IFileRead_ = { items: IFileRead[]; total: number };
const fileKeys = { list: { _def: ['files', 'list'] }, getById: { _def: ['files', 'one'] } };
function unshiftOrReplace<T>(items: T[], item: T, key: keyof T): T[] {
  return items.some((i) => i[key] === item[key]) ? items.map((i) => (i[key] === item[key] ? item : i)) : [item, ...items];
}

// --- frontend/src/entities/project/store/event-source.ts, and file's -------------------------------
const useProjectEventSourceStore = createEventSourceStore<WSMessage>("Project", { fetch: daemon.fetch });
const useFileEventSourceStore = createEventSourceStore<WSMessage>("File", { fetch: daemon.fetch });

// --- frontend/src/entities/project/hooks/event-source.ts ----------------------------------------
type Props = {
    projectId: string;
    eventHandlers: EventHandler[];
};

const useProjectEvents = ({ projectId, eventHandlers }: Props) => {
    const { initConnection, removeHandlers } = useProjectEventSourceStore();

    useEffect(() => {
        const baseUrl =
            process.env.NEXT_PUBLIC_API_URL ?? "http://localhost:8000";
        const url = `${baseUrl}/api/v1/events/project.${projectId}`;

        initConnection(url, eventHandlers);

        return () => {
            removeHandlers(eventHandlers);
        };
    }, [projectId]);
};

// --- frontend/src/entities/file/hooks/event-handler.ts -------------------------------------------
const useFileEventHandler = (): EventHandler => {
    const queryClient = useQueryClient();

    return (eventData: WSMessage) => {
        if (eventData.type === WSMessageTypeEnum.FILE) {
            const object = eventData.object as IFileRead;

            // Обновляем список файлов
            queryClient.setQueriesData(
                { queryKey: fileKeys.list._def },
                (oldData?: IResponsePaginated_IFileRead_) => {
                    if (!oldData) return;
                    return {
                        ...oldData,
                        items: unshiftOrReplace(oldData.items, object, "id"),
                    };
                }
            );

            // Обновляем конкретный файл
            queryClient.setQueriesData(
                { queryKey: fileKeys.getById._def },
                () => object
            );
        }
    };
};

// --- the same with the helpers, which change the one file that is meant ---------------------------
const useFileHandler = (): EventHandler => (eventData) => {
  if (eventData.type === WSMessageTypeEnum.FILE) {
    upsertInList(queryClient, fileKeys.list._def, eventData.object);
    setById(queryClient, fileKeys.getById._def, eventData.object);
  }
};

// --- the components, and handlers of the sections on tasks and progress ----------------------------
const notifications: string[] = [];
const showNotification = (text: string) => notifications.push(text);
type TaskUpdate = { id: number; status: string; progress: number };
const progressed: number[] = [];
const setProgress = (n: number) => progressed.push(n);

const taskEventHandler: EventHandler = (eventData) => {
    if (eventData.type === WSMessageTypeEnum.TASK) {
        const task = eventData.object as TaskUpdate;
        showNotification(`Task ${task.status}: ${task.progress}%`);
    }
};
const progressEventHandler: EventHandler = (eventData) => {
    if (eventData.type === WSMessageTypeEnum.RENDER_PROGRESS) {
        const { progress } = eventData.object as { progress: number };
        setProgress(progress);
    }
};
const useProjectEventHandler = () => taskEventHandler;

const MyComponent = ({ projectId }: { projectId: string }) => {
    const fileEventHandler = useFileEventHandler();

    useProjectEvents({
        projectId,
        eventHandlers: [fileEventHandler],
    });

    return <div>Content that updates in real-time</div>;
};

const ComplexComponent = ({ projectId }: { projectId: string }) => {
    const fileEventHandler = useFileEventHandler();
    const projectEventHandler = useProjectEventHandler();

    useProjectEvents({
        projectId,
        eventHandlers: [fileEventHandler, projectEventHandler],
    });

    return <div>Complex content with multiple event types</div>;
};

const wait = (ms = 0) => act(() => new Promise((done) => setTimeout(done, ms)));
const send = (message: WSMessage) => daemon.raw(`data: ${JSON.stringify(message)}\n\n`);

afterEach(() => queryClient.clear());

async function mount(draw: (projectId: string) => ReactNode) {
  const lines: string[] = [];
  vi.spyOn(console, 'log').mockImplementation((line) => void lines.push(line));
  queryClient.setQueryData(['files', 'list'], { items: [{ id: 1, name: 'old' }], total: 1 });
  queryClient.setQueryData(['files', 'one', 1], { id: 1, name: 'old' });
  queryClient.setQueryData(['files', 'one', 2], { id: 2, name: 'other' });
  const root = createRoot(document.body.appendChild(document.createElement('div')));
  const show = async (projectId: string) => {
    await act(async () => root.render(draw(projectId)));
    await wait(10);
  };
  await show('7');
  return { lines, show, end: () => act(() => root.unmount()) };
}
const newest = () => daemon.requests[daemon.requests.length - 1]!.url;

test('as it stands: components of one project, a file in the cache, tasks, the end', async () => {
  const { lines, end } = await mount((projectId) => (
    <>
      <MyComponent projectId={projectId} />
      <ComplexComponent projectId={projectId} />
    </>
  ));
  expect([daemon.requests.length, newest()]).toEqual([1, 'http://localhost:8000/api/v1/events/project.7']);
  send({ type: WSMessageTypeEnum.FILE, object: { id: 1, name: 'new' } });
  send({ type: WSMessageTypeEnum.TASK, object: { id: 5, status: 'completed', progress: 100 } });
  await wait(10);
  expect(queryClient.getQueryData(['files', 'list'])).toEqual({ items: [{ id: 1, name: 'new' }], total: 1 });
  expect(queryClient.getQueryData(['files', 'one', 1])).toEqual({ id: 1, name: 'new' });
  expect(notifications).toEqual(['Task completed: 100%']);
  expect(useFileEventSourceStore.getState().connection).toBeNull();
  await end();
  expect([daemon.streams, useProjectEventSourceStore.getState().connection]).toEqual([0, null]);
  expect(lines).toEqual(['Project SSE connected. Channel: project.7', 'Project SSE disconnected. Channel: project.7']);
});

test('with the helpers: another file stays what it is; progress, an error, another project', async () => {
  const Page = ({ projectId }: { projectId: string }) => {
    useProjectEvents({ projectId, eventHandlers: [useFileHandler(), progressEventHandler] });
    return null;
  };
  const { lines, show, end } = await mount((projectId) => <Page projectId={projectId} />);
  send({ type: WSMessageTypeEnum.FILE, object: { id: 1, name: 'new' } });
  for (let n = 0; n <= 100; n += 10) send({ type: WSMessageTypeEnum.RENDER_PROGRESS, object: { progress: n } });
  await wait(10);
  expect(queryClient.getQueryData(['files', 'list'])).toEqual({ items: [{ id: 1, name: 'new' }], total: 1 });
  expect(queryClient.getQueryData(['files', 'one', 1])).toEqual({ id: 1, name: 'new' });
  expect(queryClient.getQueryData(['files', 'one', 2])).toEqual({ id: 2, name: 'other' });
  expect(progressed).toEqual([0, 10, 20, 30, 40, 50, 60, 70, 80, 90, 100]);
  daemon.cut();
  await vi.waitFor(() => expect(daemon.streams).toBe(1), 10_000);
  await wait(10);
  send({ type: WSMessageTypeEnum.RENDER_PROGRESS, object: { progress: 7 } });
  await wait(10);
  expect(progressed[progressed.length - 1]).toBe(7);
  await show('8');
  expect([daemon.streams, newest()]).toEqual([1, 'http://localhost:8000/api/v1/events/project.8']);
  await end();
  expect([daemon.streams, useProjectEventSourceStore.getState().connection]).toEqual([0, null]);
  expect(lines).toContain('Project SSE connected. Channel: project.8');
});
