package events

// ProjectCreated: An account has a new project.
type ProjectCreated struct {
	AccountID string `json:"accountId"`
	ProjectID string `json:"projectId"`
}

func (ProjectCreated) FactType() string { return "projects.ProjectCreated.v1" }
func (f ProjectCreated) Key() string    { return f.AccountID }
func (f ProjectCreated) Validate() error {
	return ids("accountId", f.AccountID, "projectId", f.ProjectID)
}

// MemberAdded: Somebody works in a project of the account from now on.
type MemberAdded struct {
	AccountID string `json:"accountId"`
	ProjectID string `json:"projectId"`
	MemberID  string `json:"memberId"`
}

func (MemberAdded) FactType() string { return "projects.MemberAdded.v1" }
func (f MemberAdded) Key() string    { return f.AccountID }
func (f MemberAdded) Validate() error {
	return ids("accountId", f.AccountID, "projectId", f.ProjectID, "memberId", f.MemberID)
}

// ProjectsDeleted: All projects of an account that closes are deleted, and can still be restored.
type ProjectsDeleted struct {
	AccountID  string   `json:"accountId"`
	ProjectIDs []string `json:"projectIds"`
}

func (ProjectsDeleted) FactType() string  { return "projects.ProjectsDeleted.v1" }
func (f ProjectsDeleted) Key() string     { return f.AccountID }
func (f ProjectsDeleted) Validate() error { return ids("accountId", f.AccountID) }

// ProjectsDeletionFailed: The projects of an account that closes cannot be deleted; none was.
type ProjectsDeletionFailed struct {
	AccountID string `json:"accountId"`
	Reason    string `json:"reason"`
}

func (ProjectsDeletionFailed) FactType() string        { return "projects.ProjectsDeletionFailed.v1" }
func (f ProjectsDeletionFailed) Key() string           { return f.AccountID }
func (f ProjectsDeletionFailed) Validate() error       { return ids("accountId", f.AccountID) }
func (f ProjectsDeletionFailed) FailureReason() string { return f.Reason }

// ProjectsRestored: What a deletion of the account deleted of its projects is back; it may have been none.
type ProjectsRestored struct {
	AccountID  string   `json:"accountId"`
	ProjectIDs []string `json:"projectIds"`
}

func (ProjectsRestored) FactType() string  { return "projects.ProjectsRestored.v1" }
func (f ProjectsRestored) Key() string     { return f.AccountID }
func (f ProjectsRestored) Validate() error { return ids("accountId", f.AccountID) }
