// SPDX-License-Identifier: PostgreSQL
import { useSSE } from '@pgherald/client/react';
import { useMutation, useQuery } from '@tanstack/react-query';
import { useState } from 'react';
import { Link, useNavigate } from 'react-router';
import type { Events } from './events';
import { useSession } from './session';

/** The rows that something has just happened to, for as long as it shows. */
function useFresh(): Map<number, string> {
  const [fresh, setFresh] = useState(new Map<number, string>());
  useSSE<Events, 'estimate.*'>('estimate.*', ({ estimate_id }, { type, scope }) => {
    const kind = scope == 'enter' ? 'enter' : type.split('.')[1];
    setFresh((before) => new Map(before).set(estimate_id, kind));
    setTimeout(
      () =>
        setFresh((before) => {
          const after = new Map(before);
          after.delete(estimate_id);
          return after;
        }),
      2500,
    );
  });
  return fresh;
}

const WORDS: Record<string, string> = { created: 'new', updated: 'changed', enter: 'now yours' };

export function EstimatesPage() {
  const { api } = useSession();
  const navigate = useNavigate();
  const { data: estimates, error } = useQuery({ queryKey: ['estimates'], queryFn: api.estimates });
  const { data: projects = [] } = useQuery({ queryKey: ['projects'], queryFn: api.projects });
  const fresh = useFresh();
  const add = useMutation({
    mutationFn: () => api.create({ number: 'New estimate', project: projects[0]!.id }),
    onSuccess: (made) => navigate(`/estimates/${made.id}`),
  });

  return (
    <>
      <div className="title">
        <h1>Estimates</h1>
        <span className="count">{estimates?.length}</span>
        <button className="primary" disabled={!projects.length} onClick={() => add.mutate()}>New estimate</button>
      </div>
      {error && <p className="error">{error.message}</p>}
      <table>
        <thead>
          <tr>
            <th>Number</th>
            <th>Project</th>
            <th>Foreman</th>
            <th>Status</th>
            <th />
          </tr>
        </thead>
        <tbody>
          {estimates?.map((e) => (
            <tr key={e.id} data-id={e.id} className={fresh.get(e.id)} onClick={() => navigate(`/estimates/${e.id}`)}>
              <td><Link to={`/estimates/${e.id}`}>{e.number}</Link></td>
              <td>{e.project_name}</td>
              <td>{e.foreman_name || '–'}</td>
              <td><span className="status">{e.status}</span></td>
              <td className="mark">{WORDS[fresh.get(e.id) || '']}</td>
            </tr>
          ))}
        </tbody>
      </table>
      {estimates && !estimates.length && <p className="empty">None yet.</p>}
    </>
  );
}
