// SPDX-License-Identifier: PostgreSQL
// The REST API of the Django project, which knows nothing of streams.

export interface Estimate {
  id: number;
  number: string;
  project: number;
  project_name: string;
  foreman: number | null;
  foreman_name: string | null;
  creator_name: string;
  status: string;
  created_at: string;
}

export interface Project {
  id: number;
  name: string;
  address: string;
}

export interface User {
  id: number;
  username: string;
  role: 'manager' | 'foreman';
}

interface Page<T> {
  results: T[];
}

export class Refused extends Error {
  constructor(
    readonly status: number,
    message: string,
  ) {
    super(message);
  }
}

export class Api {
  constructor(readonly token?: string) {}

  private async send<T>(method: string, path: string, body?: unknown): Promise<T> {
    const answer = await fetch('/api/v1/' + path, {
      method,
      headers: {
        'Content-Type': 'application/json',
        ...(this.token && { Authorization: 'Token ' + this.token }),
      },
      body: body === undefined ? undefined : JSON.stringify(body),
    });
    if (!answer.ok) throw new Refused(answer.status, `${answer.status} ${(await answer.text()).slice(0, 200)}`);
    return answer.status == 204 ? (undefined as T) : answer.json();
  }
  private list = async <T>(path: string) => (await this.send<Page<T>>('GET', path + '?limit=1000')).results;

  login = (username: string, password: string) =>
    this.send<{ token: string }>('POST', 'auth/token/', { username, password });
  me = () => this.send<User>('GET', 'users/me/');
  users = () => this.list<User>('users/');
  estimates = () => this.list<Estimate>('estimates/');
  estimate = (id: number) => this.send<Estimate>('GET', `estimates/${id}/`);
  save = (id: number, change: Partial<Estimate>) => this.send<Estimate>('PATCH', `estimates/${id}/`, change);
  create = (estimate: Partial<Estimate>) => this.send<Estimate>('POST', 'estimates/', estimate);
  remove = (id: number) => this.send<void>('DELETE', `estimates/${id}/`);
  projects = () => this.list<Project>('projects/');
  project = (id: number) => this.send<Project>('GET', `projects/${id}/`);
  rename = (id: number, change: Partial<Project>) => this.send<Project>('PATCH', `projects/${id}/`, change);

  /** Django REST framework says itself what may be chosen. */
  statuses = async () => {
    const said: any = await this.send('OPTIONS', 'estimates/');
    return said.actions.POST.status.choices.map((c: { value: string }) => c.value) as string[];
  };
}
