// SPDX-License-Identifier: PostgreSQL
import { useSSE } from '@pgherald/client/react';
import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query';
import { useEffect, useState, type FormEvent } from 'react';
import { Link, useNavigate, useParams } from 'react-router';
import { Refused, type Estimate } from './api';
import type { Events } from './events';
import { useSession } from './session';

export function EstimatePage() {
  const { api } = useSession();
  const id = Number(useParams().id);
  const { data: estimate, error } = useQuery({
    queryKey: ['estimate', id],
    queryFn: () => api.estimate(id),
    retry: (n, e) => n < 2 && !(e instanceof Refused && e.status == 404),
  });
  const [gone, setGone] = useState('');
  useSSE<Events, 'estimate.*'>('estimate.*', (e, { type, scope }) => {
    if (e.estimate_id != id) return;
    if (type == 'estimate.deleted') setGone('This estimate has been deleted.');
    else if (scope == 'leave') setGone('This estimate has been given to somebody else.');
    else setGone('');
  });

  if (gone || error) {
    return (
      <p className="empty">
        {gone || error?.message} <Link to="/estimates">Back to the list</Link>
      </p>
    );
  }
  return estimate ? <Form key={id} estimate={estimate} /> : null;
}

function Form({ estimate }: { estimate: Estimate }) {
  const { api, me } = useSession();
  const client = useQueryClient();
  const navigate = useNavigate();
  const { data: statuses = [estimate.status] } = useQuery({ queryKey: ['statuses'], queryFn: api.statuses });
  const { data: users = [] } = useQuery({ queryKey: ['users'], queryFn: api.users, enabled: me.role == 'manager' });
  const { data: projects = [] } = useQuery({ queryKey: ['projects'], queryFn: api.projects });
  const [draft, setDraft] = useState<Partial<Estimate>>({});
  const [base, setBase] = useState(estimate); // what the draft is a change of
  const dirty = Object.keys(draft).length > 0;
  const overtaken = dirty && JSON.stringify(base) != JSON.stringify(estimate);
  const shown = { ...estimate, ...draft };

  useEffect(() => {
    if (!dirty) setBase(estimate);
  }, [estimate, dirty]);

  const done = () => {
    setDraft({});
    client.invalidateQueries({ queryKey: ['estimate', estimate.id] });
  };
  const save = useMutation({ mutationFn: () => api.save(estimate.id, draft), onSuccess: done });
  const remove = useMutation({ mutationFn: () => api.remove(estimate.id), onSuccess: () => navigate('/estimates') });
  const change = (patch: Partial<Estimate>) => setDraft((d) => ({ ...d, ...patch }));
  const submit = (e: FormEvent) => {
    e.preventDefault();
    save.mutate();
  };

  return (
    <form className="card" onSubmit={submit}>
      <h1>{estimate.number}</h1>
      <p className="soft">
        {estimate.project_name}, by {estimate.creator_name}
      </p>
      <label>
        Number
        <input name="number" value={shown.number} onChange={(e) => change({ number: e.target.value })} />
      </label>
      <label>
        Project
        <select name="project" value={shown.project} onChange={(e) => change({ project: Number(e.target.value) })}>
          {projects.map((p) => <option key={p.id} value={p.id}>{p.name}</option>)}
        </select>
      </label>
      <label>
        Status
        <select name="status" value={shown.status} onChange={(e) => change({ status: e.target.value })}>
          {statuses.map((s) => <option key={s}>{s}</option>)}
        </select>
      </label>
      {me.role == 'manager' && (
        <label>
          Foreman
          <select name="foreman" value={shown.foreman ?? ''} onChange={(e) => change({ foreman: Number(e.target.value) || null })}>
            <option value="">nobody</option>
            {users.filter((u) => u.role == 'foreman').map((u) => <option key={u.id} value={u.id}>{u.username}</option>)}
          </select>
        </label>
      )}
      {overtaken && (
        <p className="notice">
          Somebody has changed it meanwhile. <button type="button" onClick={() => setDraft({})}>Show theirs</button>
        </p>
      )}
      {save.error && <p className="error">{save.error.message}</p>}
      <div className="actions">
        <button className="primary" disabled={!dirty || save.isPending}>Save</button>
        <button type="button" className="danger" onClick={() => remove.mutate()}>Delete</button>
      </div>
    </form>
  );
}
