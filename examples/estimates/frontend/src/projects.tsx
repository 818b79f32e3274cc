// SPDX-License-Identifier: PostgreSQL
import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query';
import { useState, type FormEvent } from 'react';
import { Link, useParams } from 'react-router';
import { useSession } from './session';

export function ProjectsPage() {
  const { api } = useSession();
  const { data: projects } = useQuery({ queryKey: ['projects'], queryFn: api.projects });
  return (
    <>
      <div className="title">
        <h1>Projects</h1>
        <span className="count">{projects?.length}</span>
      </div>
      <div className="cards">
        {projects?.map((p) => (
          <Link key={p.id} to={`/projects/${p.id}`} className="card">
            <b>{p.name}</b>
            <span className="soft">{p.address}</span>
          </Link>
        ))}
      </div>
    </>
  );
}

export function ProjectPage() {
  const { api, me } = useSession();
  const id = Number(useParams().id);
  const client = useQueryClient();
  const { data: project, error } = useQuery({ queryKey: ['project', id], queryFn: () => api.project(id) });
  const { data: estimates = [] } = useQuery({ queryKey: ['estimates'], queryFn: api.estimates });
  const [name, setName] = useState<string>();
  const rename = useMutation({
    mutationFn: () => api.rename(id, { name }),
    onSuccess: () => {
      setName(undefined);
      client.invalidateQueries({ queryKey: ['project', id] });
    },
  });
  const submit = (e: FormEvent) => {
    e.preventDefault();
    rename.mutate();
  };
  if (error) return <p className="empty">{error.message}</p>;
  if (!project) return null;
  return (
    <form className="card" onSubmit={submit}>
      <h1>{project.name}</h1>
      <p className="soft">{project.address}</p>
      {me.role == 'manager' && (
        <>
          <label>
            Name
            <input name="name" value={name ?? project.name} onChange={(e) => setName(e.target.value)} />
          </label>
          <div className="actions">
            <button className="primary" disabled={name === undefined}>Save</button>
          </div>
        </>
      )}
      <ul>
        {estimates.filter((e) => e.project == id).map((e) => (
          <li key={e.id}>
            <Link to={`/estimates/${e.id}`}>{e.number}</Link> <span className="status">{e.status}</span>
          </li>
        ))}
      </ul>
    </form>
  );
}
