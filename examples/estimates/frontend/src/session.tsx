// SPDX-License-Identifier: PostgreSQL
// Who is logged in, and the stream that goes with it. A token is kept for one tab: so two of them
// can be two people, and those of one person share one stream.

import { createHerald, type Herald } from '@pgherald/client';
import { showDevtools } from '@pgherald/client/devtools';
import { HeraldProvider } from '@pgherald/client/react';
import { connectQuery } from '@pgherald/client/tanstack-query';
import { QueryClient, QueryClientProvider } from '@tanstack/react-query';
import { createContext, useContext, useEffect, useMemo, useState, type ReactNode } from 'react';
import { Api, type Estimate, type User } from './api';
import type { Events } from './events';

interface Session {
  api: Api;
  me: User;
  herald: Herald<Events>;
  logout: () => void;
}

const SessionContext = createContext<Session | null>(null);
export const useSession = () => useContext(SessionContext)!;

/** Where the stream is: another origin in the demo, behind one proxy the same. */
async function streamUrl(): Promise<string> {
  const config: { events_url?: string } = await fetch('/config.json')
    .then((r) => (r.ok ? r.json() : {}))
    .catch(() => ({}));
  return config.events_url || '/api/v1/sse/events/';
}
const url = streamUrl();

export const stored = {
  get token() {
    return sessionStorage.getItem('token') || undefined;
  },
  set token(token: string | undefined) {
    if (token) sessionStorage.setItem('token', token);
    else sessionStorage.removeItem('token');
  },
};

/** What an event does to the cache: what leaves goes at once, everything else is fetched again. */
function connect(herald: Herald<Events>, client: QueryClient): () => void {
  return connectQuery(herald, client, {
    estimate: {
      all: [['estimates'], ['estimate']],
      keys: (e) => [['estimates'], ['estimate', e.estimate_id]],
      set: (e, { type, scope }) => {
        if (type != 'estimate.deleted' && scope != 'leave') return;
        client.setQueriesData<Estimate[]>({ queryKey: ['estimates'] }, (all) => all?.filter((x) => x.id != e.estimate_id));
      },
    },
    project: { all: [['projects'], ['project'], ['estimates'], ['estimate']] },
  });
}

export function SessionProvider({ token, logout, children }: { token: string; logout: () => void; children: ReactNode }) {
  const api = useMemo(() => new Api(token), [token]);
  const client = useMemo(() => new QueryClient({ defaultOptions: { queries: { staleTime: Infinity, retry: 2 } } }), [token]);
  const [rest, setRest] = useState<{ me: User; herald: Herald<Events> }>();

  useEffect(() => {
    let ended = false;
    const ends: (() => void)[] = [];
    Promise.all([api.me(), url]).then(
      ([me, url]) => {
        if (ended) return;
        const herald = createHerald<Events>({ url, token, share: 'tabs' });
        ends.push(connect(herald, client), herald.close);
        if (new URLSearchParams(location.search).has('devtools')) ends.push(showDevtools(herald));
        setRest({ me, herald });
      },
      () => ended || logout(),
    );
    return () => {
      ended = true;
      ends.forEach((end) => end());
      setRest(undefined);
    };
  }, [api, client, token]);

  if (!rest) return null;
  return (
    <SessionContext.Provider value={{ api, logout, ...rest }}>
      <QueryClientProvider client={client}>
        <HeraldProvider client={rest.herald}>{children}</HeraldProvider>
      </QueryClientProvider>
    </SessionContext.Provider>
  );
}
