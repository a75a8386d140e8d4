package s3

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"damsync/dam"
)

// errRefused: the server refuses this one object and answers for others. It is
// encrypted with a key that we have not, or belongs to another account.
var errRefused = errors.New("the server refuses this object alone")

// isRefusal reports that the server would not say what is there. Without a body
// the answer to HEAD does not tell why.
func isRefusal(err error) bool {
	status, _ := answered(err)
	return status == http.StatusBadRequest || status == http.StatusUnauthorized || status == http.StatusForbidden
}

// refused gives a refusal its class: when the server answers for an object that is not
// there, credentials and region are right, and it is this object's alone. It is
// foreign then, for nobody can see a mark of ours on it.
func (a *Adapter) refused(ctx context.Context, doing string, err error) error {
	if errors.Is(codeClass(errorCode(err), nil), dam.ErrInvalid) {
		return classedRead(ctx, doing, err) // the server tells why
	}
	_, probe := a.ask(ctx, a.key(checkName))
	switch {
	case probe == nil, isMissing(probe):
		return fmt.Errorf("%s: %w: %w: %w", doing, dam.ErrForeign, errRefused, err)
	case isRefusal(probe):
		return a.refusal(ctx, doing, err)
	}
	return classedRead(ctx, doing, probe)
}

// refusal is that of whatever is asked for. The credentials may be old ones, and are read
// anew for the next request.
func (a *Adapter) refusal(ctx context.Context, doing string, err error) error {
	a.disconnect()
	status, header := answered(err)
	region := header.Get("X-Amz-Bucket-Region")
	switch {
	case status != http.StatusBadRequest || errorCode(err) != "BadRequest":
		return classedRead(ctx, doing, err)
	case region != "" && region != a.region:
		err = &dam.Denied{Need: dam.NeedRegion, Advice: "set region to " + region, Err: err}
	default:
		err = &dam.Denied{
			Need: dam.NeedCredentials, Advice: "renew the credentials, which may have expired, or set region to that of the bucket", Err: err,
		}
	}
	return fmt.Errorf("%s: %w", doing, err)
}
