// Made by `pgherald types --ts`; another configuration makes another one.

export interface Estimate {
  estimate_id: number;
  estimate_number: string;
  project_id: number;
  project_name: string | null;
  foreman_id: number | null;
  foreman_name: string | null;
  creator_id: number;
  creator_name: string | null;
  status: string;
  created_at: string;
}

/** What is told to one whose row it was: `scope` is "leave". */
export type EstimateLeave = Pick<Estimate, "estimate_id" | "project_id">;

export interface Project {
  project_id: number;
  project_name: string;
  address: string;
  created_at: string;
}

/** What is told to one whose row it was: `scope` is "leave". */
export type ProjectLeave = Pick<Project, "project_id">;

/** For createHerald<Events>(): what an event of this name has as its data. */
export interface Events {
  "estimate.created": Estimate;
  "estimate.updated": Estimate;
  "estimate.deleted": Estimate;
  "project.created": Project;
  "project.updated": Project;
  "project.deleted": Project;
}
