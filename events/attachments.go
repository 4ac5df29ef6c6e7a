package events

// AttachmentUploaded: A file was uploaded to its temporary place. Version 1 called the account ownerId.
type AttachmentUploaded struct {
	AttachmentID string `json:"attachmentId"`
	AccountID    string `json:"accountId"`
	MimeType     string `json:"mimeType"`
	Size         int64  `json:"size"`
}

func (AttachmentUploaded) FactType() string { return "attachments.AttachmentUploaded.v2" }
func (f AttachmentUploaded) Key() string    { return f.AttachmentID }
func (f AttachmentUploaded) Validate() error {
	return ids("attachmentId", f.AttachmentID, "accountId", f.AccountID)
}

func (AttachmentUploaded) Upcasts() map[int]func([]byte) ([]byte, error) {
	return map[int]func([]byte) ([]byte, error){1: renamed("ownerId", "accountId")}
}

// AttachmentExpired: A temporary file that no post has taken is gone.
type AttachmentExpired struct {
	AttachmentID string `json:"attachmentId"`
}

func (AttachmentExpired) FactType() string  { return "attachments.AttachmentExpired.v1" }
func (f AttachmentExpired) Key() string     { return f.AttachmentID }
func (f AttachmentExpired) Validate() error { return ids("attachmentId", f.AttachmentID) }
