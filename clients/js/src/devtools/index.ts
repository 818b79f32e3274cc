// SPDX-License-Identifier: PostgreSQL
// A panel for who develops: what is connected, which tab leads, the last events and resyncs. Plain
// DOM, so that it goes into any page: `useEffect(() => showDevtools(herald), [])` in React.

import type { Herald, HeraldEvent, Status } from '../types.js';

export interface DevtoolsOptions {
  /** Where it is put; the body. */
  parent?: HTMLElement;
  open?: boolean;
  /** Events that are kept; 50. */
  events?: number;
}

const CSS = `
:host { all: initial; position: fixed; right: 12px; bottom: 12px; z-index: 2147483647; font: 12px/1.5 ui-monospace, monospace; color: #e8ecf4 }
details { background: #1a202c; border-radius: 8px; max-width: 44ch; box-shadow: 0 4px 20px #0008 }
summary { padding: 4px 10px; cursor: pointer; white-space: nowrap }
i { font-style: normal } .open i { color: #3ccf9c } .failed i, .closed i { color: #ff7d92 } .connecting i, .waiting i { color: #f0b252 }
dl { display: grid; grid-template-columns: auto 1fr; gap: 0 1ch; margin: 0; padding: 0 10px 8px } dt { color: #97a3b8 } dd { margin: 0; overflow-wrap: anywhere }
ol { margin: 0; padding: 6px 10px; max-height: 40vh; overflow: auto; list-style: none; border-top: 1px solid #2b3445 }
li { overflow-wrap: anywhere } li.system { color: #f0b252 } button { font: inherit; margin: 0 10px 8px }
`;

/** Shows the panel; returns how to take it away. It opens no stream by itself. */
export function showDevtools(herald: Herald<any>, { parent = document.body, open = false, events = 50 }: DevtoolsOptions = {}): () => void {
  const host = document.createElement('pgherald-devtools');
  const root = host.attachShadow({ mode: 'open' });
  root.innerHTML = `<style>${CSS}</style><details><summary><i>●</i> <span></span></summary><dl></dl><button>try again now</button><ol></ol></details>`;
  const get = <T extends Element>(what: string) => root.querySelector(what) as unknown as T;
  const [box, word, list, log] = [get<HTMLDetailsElement>('details'), get('span'), get('dl'), get('ol')];
  let count = 0;
  let resyncs = 0;
  let last: HeraldEvent | undefined;

  const time = (ms: number) => new Date(ms).toLocaleTimeString();
  const draw = () => {
    const s: Status = herald.status;
    box.className = s.state;
    word.textContent = `pgherald ${s.state}`;
    const lines: [string, string | number | undefined][] = [
      ['since', time(s.since)],
      ['user', s.user],
      ['stream', s.leader ? (s.shared ? 'held by this tab' : 'of this tab alone') : s.shared ? 'held by another tab' : '–'],
      ['attempts', s.attempt || undefined],
      ['next', s.state == 'waiting' && s.retryAt ? time(s.retryAt) : undefined],
      ['error', s.error && `${s.error.status || ''} ${s.error.message}`],
      ['lag', s.lag ? `${s.lag} s` : undefined],
      ['events', count],
      ['resyncs', resyncs],
      ['last', last && last.type],
    ];
    list.textContent = '';
    for (const [name, value] of lines) {
      if (value === undefined) continue;
      for (const [tag, text] of [['dt', name], ['dd', '' + value]] as const) {
        list.append(Object.assign(document.createElement(tag), { textContent: text }));
      }
    }
  };

  const off = herald.on(
    '*',
    (data: any, event: HeraldEvent) => {
      count++;
      if (event.type == 'system.resync') resyncs++;
      last = event;
      const scope = event.scope ? ` (${event.scope})` : '';
      const line = document.createElement('li');
      if (event.type.startsWith('system.')) line.className = 'system';
      line.textContent = `${time(Date.now())} ${event.type}${scope} ${event.type.startsWith('system.connection') ? '' : JSON.stringify(data).slice(0, 200)}`;
      log.prepend(line);
      while (log.childElementCount > events) log.lastElementChild!.remove();
      draw();
    },
    { passive: true },
  );
  const unwatch = herald.subscribe(draw);
  box.open = open;
  get<HTMLButtonElement>('button').onclick = () => herald.retry();
  draw();
  parent.append(host);
  return () => {
    off();
    unwatch();
    host.remove();
  };
}
