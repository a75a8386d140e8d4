package s3

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"damsync/dam"

	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/smithy-go"
)

// classed wraps err with what was being done and the class that the server's
// answer stands for. An error that has a class keeps it.
func classed(ctx context.Context, doing string, err error) error {
	if err == nil {
		return nil
	}
	if dam.Classify(err) != dam.ClassUnknown || gaveUp(ctx, err) {
		return fmt.Errorf("%s: %w", doing, err)
	}
	if class := classOf(err); class != nil {
		return fmt.Errorf("%s: %w: %w", doing, class, err)
	}
	return fmt.Errorf("%s: %w", doing, err)
}

// gaveUp reports that err is of the end of ctx. The error alone does not tell: the
// time-outs of a connection say that they are context.DeadlineExceeded.
func gaveUp(ctx context.Context, err error) bool {
	return ctx.Err() != nil && (errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded))
}

// classOf judges by the code, then by the status, then by how far the request
// came. nil is an outcome nobody knows.
func classOf(err error) error {
	status, header := answered(err)
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
		return &dam.Denied{Need: dam.NeedContainer, Advice: "make the bucket, or correct option bucket"}
	case "InvalidBucketName":
		return &dam.Denied{Need: dam.NeedContainer, Advice: "correct option bucket"}
	case "PermanentRedirect", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException", "TemporaryRedirect":
		return &dam.Denied{Need: dam.NeedRegion, Advice: "set region and endpoint to those of the bucket"}
	case "InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "InvalidToken", "TokenRefreshRequired",
		"NotSignedUp", "InvalidSecurity", "AccountProblem":
		return &dam.Denied{Need: dam.NeedCredentials, Advice: "correct access_key_id and secret_access_key"}
	case "RequestTimeTooSkewed":
		return &dam.Denied{Need: dam.NeedCredentials, Advice: "set the clock of this machine right"}
	case "AccessDenied", "AllAccessDisabled", "MethodNotAllowed":
		return dam.ErrAuth
	case "NotImplemented":
		return &dam.Denied{
			Need: dam.NeedWrite, Advice: "the server lacks what was asked; set checksum: none, or conditional_writes: false",
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
		return &dam.Denied{Need: dam.NeedRegion, Advice: "set region and endpoint to those of the bucket"}
	case status >= http.StatusInternalServerError:
		return dam.ErrTemporary
	case status >= http.StatusBadRequest && status != http.StatusNotFound && !isChange(status):
		return dam.ErrInvalid
	}
	return nil
}

// isChange is what the next look explains, no fault of the object.
func isChange(status int) bool {
	return status == http.StatusPreconditionFailed || status == http.StatusConflict
}

// answered gives status and header of the server's answer, 0 when there was none.
func answered(err error) (int, http.Header) {
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

const longestRetryAfter = 24 * time.Hour

// retryAfter reads the header, seconds or a date; servers that throttle rarely send it. The date is held
// against that of the answer, for the server's clock is another.
func retryAfter(header http.Header) time.Duration {
	text := strings.TrimSpace(header.Get("Retry-After"))
	n, err := strconv.Atoi(text)
	after := time.Duration(n) * time.Second
	if err != nil {
		at, err := http.ParseTime(text)
		if err != nil {
			return 0
		}
		now, err := http.ParseTime(header.Get("Date"))
		if err != nil {
			now = time.Now()
		}
		after = at.Sub(now)
	}
	if after < 0 || after > longestRetryAfter {
		return 0
	}
	return after
}

// isChanged reports that a condition of the request did not hold: another
// writer was there first, or at the same moment.
func isChanged(err error) bool {
	status, _ := answered(err)
	return status == http.StatusPreconditionFailed || errorCode(err) == "ConditionalRequestConflict"
}

// isMissing reports that the object is not there. The bucket may not be either:
// the answer to HEAD does not tell.
func isMissing(err error) bool {
	status, _ := answered(err)
	return status == http.StatusNotFound && errorCode(err) != "NoSuchBucket"
}
