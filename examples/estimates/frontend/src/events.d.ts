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
export interface Project {
  project_id: number;
  project_name: string;
  address: string;
  created_at: string;
}
export interface Events {
  'estimate.created': Estimate;
  'estimate.updated': Estimate;
  'estimate.deleted': Estimate;
  'project.created': Project;
  'project.updated': Project;
  'project.deleted': Project;
}
