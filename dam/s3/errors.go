package s3

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"damsync/dam"
	"damsync/internal/retryafter"

	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/smithy-go"
)

var (
	// errChanged says that an object is not as it was when it was looked at.
	// Nothing was written.
	errChanged = errors.New("the object has changed meanwhile")
	// errNoUpload says that the server does not have an upload, or not the parts
	// that the session counts on.
	errNoUpload = errors.New("no such upload")
)

// classed wraps err with the attempted action and the class of the server's
// answer. An error that has a class keeps it.
func classed(ctx context.Context, doing string, err error) error {
	if err == nil {
		return nil
	}
	if dam.Classify(err) != dam.ClassUnknown || ended(ctx, err) {
		return fmt.Errorf("%s: %w", doing, err)
	}
	if class := classOf(err); class != nil {
		return fmt.Errorf("%s: %w: %w", doing, class, err)
	}
	return fmt.Errorf("%s: %w", doing, err)
}

// classedRead is classed for a request that changes nothing and can therefore
// always be repeated.
func classedRead(ctx context.Context, doing string, err error) error {
	if err == nil {
		return nil
	}
	err = classed(ctx, doing, err)
	if dam.Classify(err) == dam.ClassUnknown && !ended(ctx, err) {
		return fmt.Errorf("%w: %w", dam.ErrTemporary, err)
	}
	return err
}

// classedWrite is classed for a conditional write: it returns errChanged when the
// condition did not hold, or when the source of a copy is gone.
func classedWrite(ctx context.Context, doing string, err error) error {
	if isChanged(err) || errorCode(err) == "NoSuchKey" {
		return fmt.Errorf("%s: %w: %w", doing, errChanged, err)
	}
	return classed(ctx, doing, err)
}

// ended reports whether err comes from the end of ctx. The error alone does not
// show it: a connection that times out returns context.DeadlineExceeded too.
func ended(ctx context.Context, err error) bool {
	return ctx.Err() != nil && (errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded))
}

// classOf derives the class from the error code, then from the status, then from
// whether anything was sent. It returns nil when the outcome is unknown.
func classOf(err error) error {
	status, header := answer(err)
	if class := codeClass(errorCode(err), header); class != nil {
		return class
	}
	if class := statusClass(status, header); class != nil {
		return class
	}
	var op *net.OpError
	if errors.As(err, &op) && op.Op == "dial" {
		return dam.ErrUnavailable // nothing was sent
	}
	return nil
}

func codeClass(code string, header http.Header) error {
	switch code {
	case "SlowDown", "Throttling", "ThrottlingException", "RequestLimitExceeded", "TooManyRequests", "BandwidthLimitExceeded":
		return &dam.Throttled{RetryAfter: retryAfter(header)}
	case "NoSuchBucket":
		return &dam.Denied{Need: dam.NeedContainer, Advice: "create the bucket or correct option bucket"}
	case "InvalidBucketName":
		return &dam.Denied{Need: dam.NeedContainer, Advice: "correct option bucket"}
	case "PermanentRedirect", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException", "TemporaryRedirect":
		return wrongRegion()
	case "InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "InvalidToken", "TokenRefreshRequired",
		"NotSignedUp", "InvalidSecurity", "AccountProblem":
		return &dam.Denied{Need: dam.NeedCredentials, Advice: "correct access_key_id and secret_access_key"}
	case "RequestTimeTooSkewed":
		return &dam.Denied{Need: dam.NeedCredentials, Advice: "correct the clock of this machine"}
	case "AccessDenied", "AllAccessDisabled", "MethodNotAllowed":
		return dam.ErrAuth
	case "NotImplemented":
		return &dam.Denied{
			Need: dam.NeedWrite, Advice: "the server does not implement the request; set checksum: none or conditional_writes: false",
		}
	case "QuotaExceeded", "InsufficientStorage", "XMinioStorageFull", "InsufficientCapacity":
		return dam.ErrFull
	case "EntityTooLarge", "KeyTooLongError", "KeyTooLong", "MetadataTooLarge", "InvalidTag", "InvalidArgument",
		"InvalidStorageClass", "InvalidObjectState", "InvalidDigest", "InvalidObjectName", "XMinioInvalidObjectName", "ObjectParentIsFile",
		"ExistingObjectIsDirectory", "DirectoryObjectContainsData":
		return dam.ErrInvalid
	case "BadDigest", "XAmzContentSHA256Mismatch", "IncompleteBody", "RequestTimeout", "OperationAborted", "InternalError":
		return dam.ErrTemporary
	}
	return nil
}

func statusClass(status int, header http.Header) error {
	switch {
	case status == http.StatusTooManyRequests, status == http.StatusServiceUnavailable:
		return &dam.Throttled{RetryAfter: retryAfter(header)}
	case status == http.StatusUnauthorized, status == http.StatusForbidden:
		return dam.ErrAuth
	case status == http.StatusInsufficientStorage:
		return dam.ErrFull
	case status == http.StatusMovedPermanently, status == http.StatusTemporaryRedirect, status == http.StatusPermanentRedirect:
		return wrongRegion()
	case status >= http.StatusInternalServerError:
		return dam.ErrTemporary
	case status == http.StatusNotFound, status == http.StatusPreconditionFailed, status == http.StatusConflict:
		return nil // the object is not at fault; Find shows what has changed
	case status >= http.StatusBadRequest:
		return dam.ErrInvalid
	}
	return nil
}

func wrongRegion() error {
	return &dam.Denied{Need: dam.NeedRegion, Advice: "set region and endpoint to those of the bucket"}
}

// explainRefusal adds advice to the answer 400 without a reason, which a HEAD
// request gets for credentials that have expired and for a wrong region.
func explainRefusal(region string, err error) error {
	status, header := answer(err)
	if status != http.StatusBadRequest || errorCode(err) != "BadRequest" {
		return err
	}
	if right := header.Get("X-Amz-Bucket-Region"); right != "" && right != region {
		return &dam.Denied{Need: dam.NeedRegion, Advice: "set region to " + right, Err: err}
	}
	return &dam.Denied{
		Need: dam.NeedCredentials, Err: err,
		Advice: "renew the credentials, which may have expired, or set region to that of the bucket",
	}
}

func errTooManyParts(size int64) error {
	return fmt.Errorf("content of %d bytes: %w: more than %d parts; set part_size to %d or more",
		size, dam.ErrInvalid, maxParts, (size+maxParts-1)/maxParts)
}

// answer returns status and header of the server's answer, or 0 when there was none.
func answer(err error) (int, http.Header) {
	var re *awshttp.ResponseError
	if !errors.As(err, &re) || re.Response == nil || re.Response.Response == nil {
		return 0, nil
	}
	return re.HTTPStatusCode(), re.Response.Header
}

func errorCode(err error) string {
	var api smithy.APIError
	if !errors.As(err, &api) {
		return ""
	}
	return api.ErrorCode()
}

// retryAfter returns the wait that the server asks for, or 0.
func retryAfter(header http.Header) time.Duration {
	now, err := http.ParseTime(header.Get("Date")) // the server's clock
	if err != nil {
		now = time.Now()
	}
	wait, _ := retryafter.Parse(header.Get("Retry-After"), now)
	return wait
}

// isChanged reports whether a condition of the request did not hold, because
// another writer was first or wrote at the same moment.
func isChanged(err error) bool {
	status, _ := answer(err)
	return status == http.StatusPreconditionFailed || errorCode(err) == "ConditionalRequestConflict"
}

// isMissing reports whether the object does not exist. The answer to HEAD does not
// show whether the bucket does.
func isMissing(err error) bool {
	status, _ := answer(err)
	return status == http.StatusNotFound && errorCode(err) != "NoSuchBucket"
}

// isRefusal reports whether the server did not say what is there. The answer to
// HEAD has no body with a reason.
func isRefusal(err error) bool {
	status, _ := answer(err)
	return status == http.StatusBadRequest || status == http.StatusUnauthorized || status == http.StatusForbidden
}

// goneUpload turns the server's answer for an unknown upload into errNoUpload.
func goneUpload(err error) error {
	if errorCode(err) == "NoSuchUpload" {
		return fmt.Errorf("%w: %w", errNoUpload, err)
	}
	return err
}
