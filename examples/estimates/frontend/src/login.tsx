// SPDX-License-Identifier: PostgreSQL
import { useState } from 'react';
import { Api } from './api';

const PEOPLE = [
  ['manager', 'sees every estimate'],
  ['foreman1', 'sees what is theirs'],
  ['foreman2', 'sees what is theirs'],
];

export function Login({ onToken }: { onToken: (token: string) => void }) {
  const [error, setError] = useState('');
  const login = (name: string, password: string) =>
    new Api().login(name, password).then(({ token }) => onToken(token), (e) => setError(e.message));

  return (
    <main className="login">
      <h1>Estimates</h1>
      <p>Open it in two browsers, or in two tabs, as two people: what one of them changes the other sees.</p>
      <div className="people">
        {PEOPLE.map(([name, what]) => (
          <button key={name} onClick={() => login(name, 'estimates')}>
            <b>{name}</b>
            <span>{what}</span>
          </button>
        ))}
      </div>
      {error && <p className="error">{error}</p>}
    </main>
  );
}
