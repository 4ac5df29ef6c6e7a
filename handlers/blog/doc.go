// Package blog is the consumers of posts: their tags, their files, and the
// undoing of both. The key of every fact they react to is the post's id.
package blog
