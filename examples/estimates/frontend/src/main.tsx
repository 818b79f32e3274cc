// SPDX-License-Identifier: PostgreSQL
import { SSEStatus } from '@pgherald/client/react';
import { StrictMode, useState } from 'react';
import { createRoot } from 'react-dom/client';
import { BrowserRouter, Link, NavLink, Navigate, Route, Routes } from 'react-router';
import './app.css';
import { EstimatePage } from './estimate';
import { EstimatesPage } from './estimates';
import { Login } from './login';
import { ProjectPage, ProjectsPage } from './projects';
import { SessionProvider, stored, useSession } from './session';

function Shell() {
  const { me, logout } = useSession();
  return (
    <>
      <header>
        <Link to="/" className="brand">Estimates</Link>
        <nav>
          <NavLink to="/estimates">Estimates</NavLink>
          <NavLink to="/projects">Projects</NavLink>
        </nav>
        <SSEStatus />
        <span className="who">
          {me.username} <small>{me.role}</small>
        </span>
        <button onClick={logout}>Log out</button>
      </header>
      <main>
        <Routes>
          <Route path="/estimates" element={<EstimatesPage />} />
          <Route path="/estimates/:id" element={<EstimatePage />} />
          <Route path="/projects" element={<ProjectsPage />} />
          <Route path="/projects/:id" element={<ProjectPage />} />
          <Route path="*" element={<Navigate to="/estimates" replace />} />
        </Routes>
      </main>
    </>
  );
}

function App() {
  const [token, setToken] = useState(stored.token);
  const change = (next: string | undefined) => setToken((stored.token = next));
  if (!token) return <Login onToken={change} />;
  return (
    <SessionProvider token={token} logout={() => change(undefined)}>
      <Shell />
    </SessionProvider>
  );
}

createRoot(document.getElementById('root')!).render(
  <StrictMode>
    <BrowserRouter>
      <App />
    </BrowserRouter>
  </StrictMode>,
);
