package openapi

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/authfi/authfi/proto"
	authfiv1 "github.com/authfi/authfi/proto/gen/authfi/v1"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
)

// object is a JSON object; encoding/json writes its names in order, so that the
// document is the same bytes whoever makes it.
type object = map[string]any

// Document is the document as it is served.
var Document = sync.OnceValue(func() []byte {
	text, err := json.MarshalIndent(build(), "", "  ")
	if err != nil {
		panic("openapi: " + err.Error()) // strings, numbers, lists and maps of them
	}
	return append(text, '\n')
})

func build() object {
	s := schemas{done: object{"ProblemDetails": problemSchema()}}
	paths := object{}
	var tags []any
	for _, service := range services() {
		name := strings.TrimSuffix(string(service.Name()), "Service")
		tagged := false
		for i := range service.Methods().Len() {
			method := service.Methods().Get(i)
			for n, r := range routes(method) {
				item, _ := paths[r.path].(object)
				if item == nil {
					item = object{}
					paths[r.path] = item
				}
				item[strings.ToLower(r.verb)] = s.operation(method, r, n)
				tagged = true
			}
		}
		if tagged {
			tags = append(tags, object{"name": name, "description": proto.Comments()[string(service.Name())]})
		}
	}
	maps.Copy(paths, byHand())
	return object{
		"openapi": "3.1.0",
		"info": object{
			"title": "AuthFI", "version": "v1", "license": object{"name": "Apache-2.0", "identifier": "Apache-2.0"},
			"description": "The directory of organizations, users, groups, roles and permissions. The same operations are served " +
				"as Connect, gRPC and gRPC-Web procedures of authfi.v1. Names are in snake_case; every field of an answer is " +
				"present, null when it has no value; 64-bit integers are numbers.",
		},
		"servers":    []any{object{"url": "/"}},
		"security":   []any{object{"bearer": []any{}}},
		"tags":       tags,
		"paths":      paths,
		"components": components(s.done),
	}
}

// services are those of the API, by name.
func services() (all []protoreflect.ServiceDescriptor) {
	protoregistry.GlobalFiles.RangeFilesByPackage(authfiv1.File_authfi_v1_user_proto.Package(), func(f protoreflect.FileDescriptor) bool {
		for i := range f.Services().Len() {
			all = append(all, f.Services().Get(i))
		}
		return true
	})
	slices.SortFunc(all, func(a, b protoreflect.ServiceDescriptor) int {
		return strings.Compare(string(a.Name()), string(b.Name()))
	})
	return all
}

func components(schemas object) object {
	return object{
		"securitySchemes": object{"bearer": object{
			"type": "http", "scheme": "bearer",
			"description": "An operator's token, the access token of a session, or an API key.",
		}},
		"schemas": schemas,
		"headers": object{
			"Index": object{
				"description": "The applied index that the answer belongs to; of a write, that of its entry.",
				"schema":      object{"type": "string", "pattern": "^[0-9]+$"},
			},
			"ETag": object{
				"description": "The version of the object in the answer, for If-Match.",
				"schema":      object{"type": "string", "pattern": `^"[0-9]+"$`},
			},
			"RequestId": object{
				"description": "Names the request in the logs.",
				"schema":      object{"type": "string", "pattern": "^[0-9a-f]{32}$"},
			},
		},
		"parameters": object{
			"AtLeastIndex": header("X-Authfi-Index", "Answer from a state at least this new, as a former answer named it; newest asks the cluster, and misses no write that was acknowledged before.", "^([0-9]+|newest)$"),
			"IfMatch":      header("If-Match", "Change the object only if this is its ETag.", `^(\*|"[0-9]+")$`),
			"IdempotencyKey": object{
				"name": "Idempotency-Key", "in": "header",
				"description": "Makes repeats of this request one change: the same key with the same request gets the first answer, with another one a conflict.",
				"schema":      object{"type": "string", "minLength": 1, "maxLength": 255},
			},
		},
		"responses": object{"Problem": object{
			"description": "What went wrong, and with which field.",
			"headers":     object{"X-Request-Id": reference("headers", "RequestId")},
			"content":     object{"application/problem+json": object{"schema": reference("schemas", "ProblemDetails")}},
		}},
	}
}

func header(name, description, pattern string) object {
	return object{"name": name, "in": "header", "description": description, "schema": object{"type": "string", "pattern": pattern}}
}

func reference(kind, name string) object { return object{"$ref": "#/components/" + kind + "/" + name} }

func problemSchema() object {
	text := object{"type": "string"}
	return object{
		"type": "object", "description": "A problem of RFC 9457.", "additionalProperties": false,
		"required": []any{"type", "title", "status", "code", "detail", "field"},
		"properties": object{
			"type": text, "title": text, "detail": object{"type": "string", "description": "One sentence for people."},
			"status": object{"type": "integer", "minimum": 400, "maximum": 599},
			"code":   object{"type": "string", "description": "A stable word for programs, as in not_found."},
			"field":  object{"type": "string", "description": "The field at fault; empty when no single one is."},
		},
	}
}
