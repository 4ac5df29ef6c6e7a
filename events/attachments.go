package events

// AttachmentUploaded: A file was uploaded to its temporary place.
type AttachmentUploaded struct {
	AttachmentID string `json:"attachmentId"`
	OwnerID      string `json:"ownerId"`
	MimeType     string `json:"mimeType"`
	Size         int64  `json:"size"`
}

func (AttachmentUploaded) FactType() string { return "attachments.AttachmentUploaded.v1" }
func (f AttachmentUploaded) Key() string    { return f.AttachmentID }
func (f AttachmentUploaded) Validate() error {
	return ids("attachmentId", f.AttachmentID, "ownerId", f.OwnerID)
}
