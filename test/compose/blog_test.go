//go:build compose

package compose

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// folder is where the files of a post stand in the bucket.
func folder(postID string) string { return "files/blog-post/" + postID + "/" }

func TestPostWithImagesAndTags(t *testing.T) {
	t.Parallel()
	p := signUp(t)
	// Two of the three exist already, one of them written otherwise.
	run := strings.ToLower(rand.Text())
	first, saga := p.write(t, []string{"red-" + run, "blue-" + run}, nil)
	sys.settled(t, saga, "completed")
	if got := read(t, first.PostID); got.State != "published" {
		t.Fatalf("the post without files is %s", got.State)
	}
	pictures := [][]byte{picture(t), picture(t)}
	files := []string{p.upload(t, "one.png", pictures[0]), p.upload(t, "two.png", pictures[1])}
	made, saga := p.write(t, []string{" RED-" + run, "blue-" + run, "green-" + run}, files)
	if made.State != "processing" || made.Contents[1].Src != files[0] {
		t.Errorf("not readable at once with its temporary URLs: %+v", made)
	}
	sys.settled(t, saga, "completed")

	got := read(t, made.PostID)
	want := []string{"blue-" + run, "green-" + run, "red-" + run}
	if slices.Sort(got.Tags); got.State != "published" || !slices.Equal(got.Tags, want) {
		t.Errorf("%s with tags %v, want published with %v", got.State, got.Tags, want)
	}
	if len(got.Attachments) != 2 {
		t.Fatalf("attachments: %+v", got.Attachments)
	}
	for i, bytesOf := range pictures {
		src := got.Contents[i+1].Src
		if !strings.Contains(src, "/blog-post/") || src != got.Attachments[i].URL {
			t.Errorf("the URL %s was not rewritten (attachment: %s)", src, got.Attachments[i].URL)
		}
		if copied := call(t, "", "GET", sys.url+src, nil).into(t, 200, nil); !bytes.Equal(copied.body, bytesOf) {
			t.Errorf("%s is not the file that was uploaded", src)
		}
	}
	if keys := sys.objects(t, folder(made.PostID)); len(keys) != 2 {
		t.Errorf("objects of the post: %v", keys)
	}
}

func TestPostsRaceForATag(t *testing.T) {
	t.Parallel()
	p := signUp(t)
	tag := "race-" + strings.ToLower(rand.Text())
	var sagas []string
	for range 5 {
		_, saga := p.write(t, []string{tag}, nil)
		sagas = append(sagas, saga)
	}
	for _, saga := range sagas {
		sys.settled(t, saga, "completed")
	}
}

func TestPostIsWithdrawn(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, tag, secondFile, failure string
	}{
		{"where a file cannot be copied", "fine", "corrupt.png", "posts.AttachmentRelocationFailed.v1"},
		{"where a tag is forbidden", "forbidden", "second.png", "posts.TagsRejected.v1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			p := signUp(t)
			image := picture(t)
			files := []string{p.upload(t, "first.png", image), p.upload(t, c.secondFile, picture(t))}
			made, saga := p.write(t, []string{c.tag, "new-" + strings.ToLower(rand.Text())}, files)
			got := sys.settled(t, saga, "undone")
			for _, event := range []string{c.failure, "posts.PostWithdrawn.v1", "posts.TagsRemoved.v1", "posts.AttachmentsReturned.v1", "posts.AuthorMailed.v1"} {
				if n := got.count(event); n != 1 {
					t.Errorf("%d of %s, want 1", n, event)
				}
			}
			if n := got.count("posts.PostPublished.v1"); n > 0 || len(got.Owed) > 0 {
				t.Errorf("published %d times, owed %+v", n, got.Owed)
			}

			after := read(t, made.PostID)
			if after.State != "withdrawn" || after.Reason == "" || len(after.Tags) > 0 {
				t.Errorf("the post is %s (%q) with tags %v", after.State, after.Reason, after.Tags)
			}
			if keys := sys.objects(t, folder(made.PostID)); len(keys) > 0 {
				t.Errorf("copies are left: %v", keys)
			}
			// Its files are back where they were, in the text too.
			if src := after.Contents[1].Src; src != files[0] {
				t.Errorf("the text has %s, want %s", src, files[0])
			}
			if back := call(t, "", "GET", sys.url+files[0], nil).into(t, 200, nil); !bytes.Equal(back.body, image) {
				t.Error("the temporary file is not what was uploaded")
			}
			var subjects []string
			for _, m := range sys.mails(t, p.email) {
				subjects = append(subjects, m.Subject)
			}
			if n := len(slices.DeleteFunc(subjects, func(s string) bool { return !strings.Contains(s, "withdrawn") })); n != 1 {
				t.Errorf("the author got %d mails, want 1", n)
			}
		})
	}
}

func TestDeletedPostTakesEverythingAlong(t *testing.T) {
	t.Parallel()
	p := signUp(t)
	made, saga := p.write(t, []string{"gone-" + strings.ToLower(rand.Text())}, []string{p.upload(t, "gone.png", picture(t))})
	sys.settled(t, saga, "completed")
	src := read(t, made.PostID).Contents[1].Src
	if joined := p.call(t, "DELETE", "/posts/"+made.PostID, nil).into(t, 202, nil).saga(); joined != saga {
		t.Errorf("deleting is of saga %s, creating of %s", joined, saga)
	}
	sys.settled(t, saga, "undone")
	eventually(t, "its copies go", func() error {
		if keys := sys.objects(t, folder(made.PostID)); len(keys) > 0 {
			return fmt.Errorf("%v", keys)
		}
		return nil
	})
	call(t, "", "GET", sys.url+src, nil).into(t, 404, nil)
}
