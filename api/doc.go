// Package api is the HTTP side of Troupe: commands, which answer at once, and
// queries, one file per context. It turns requests into calls of the domain
// and errors of the domain into problems (RFC 9457); it decides no rule of the
// business itself.
//
// An operation is added with [register], which takes care of who may call it,
// of bodies and of errors:
//
//	s.refuses(http.StatusNotFound, post.ErrNotFound)
//	register(s, accountsOnly, huma.Operation{
//		OperationID: "delete-post", Method: http.MethodDelete, Path: "/posts/{id}",
//		Summary: "Delete a post", DefaultStatus: http.StatusAccepted, Tags: []string{"blog"},
//	}, s.deletePost)
package api
