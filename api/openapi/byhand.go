package openapi

// byHand are the routes that are no procedures.
func byHand() object {
	org := object{"name": "org_id", "in": "query", "schema": object{"type": "string"}}
	return object{
		"/api/v1/openapi.json": object{"get": object{
			"operationId": "OpenAPI", "summary": "This document", "security": []any{object{}},
			"responses": object{
				"200": object{"description": "The document.", "content": object{"application/json": object{"schema": object{"type": "object"}}}},
				"304": object{"description": "It is the one that If-None-Match names."},
			},
		}},
		"/api/v1/events": object{"get": object{
			"operationId": "Events", "summary": "The ordered change feed as server-sent events",
			"description": "The messages of EventService.Watch, each as one event that is named by the message's type and has the message as its data. Its id is the place behind it, INDEX.ORDINAL or INDEX, for Last-Event-ID, which replaces after, after_ordinal and snapshot. A stream that the node ends has a last event \"closed\" with a Problem.",
			"parameters": []any{
				reference("parameters", "AtLeastIndex"), org,
				object{"name": "after", "in": "query", "schema": object{"type": "integer", "minimum": 0}, "description": "The last index already seen."},
				object{"name": "after_ordinal", "in": "query", "schema": object{"type": "integer", "minimum": 0}, "description": "The last event of that index already seen."},
				object{"name": "snapshot", "in": "query", "schema": object{"type": "boolean"}, "description": "Begin with the rows."},
				object{
					"name": "type", "in": "query", "style": "form", "explode": true, "schema": object{"type": "array", "maxItems": 16, "items": object{"type": "string"}},
					"description": "Only events of this type, or with a dot at its end of all types that begin so. Rows are not chosen by type.",
				},
				object{"name": "object", "in": "query", "schema": object{"type": "string"}, "description": "Only events and rows of the object with this id."},
				object{"name": "Last-Event-ID", "in": "header", "schema": object{"type": "string", "pattern": `^[0-9]+(\.[0-9]+)?$`}},
			},
			"responses": stream("text/event-stream"),
		}},
		"/api/v1/backup": object{"get": object{
			"operationId": "Backup", "summary": "The whole instance at one index, encrypted for the holder of the recovery key",
			"description": "For operators. The trailer X-Authfi-Sha256 is of all bytes; without it the file is not whole. authfi backup verify checks it, authfi restore makes a cluster of it.",
			"parameters": []any{object{
				"name": "stale", "in": "query", "schema": object{"type": "boolean"},
				"description": "What this node has, without a quorum that says that it is all.",
			}},
			"responses": stream("application/octet-stream"),
		}},
		"/api/v1/audit-log/export": object{"get": object{
			"operationId": "AuditExport", "summary": "The whole audit log at one index as JSON lines",
			"description": "The log of the organization, or without org_id, for operators, that of the instance. authfi audit verify checks it.",
			"parameters":  []any{org},
			"responses":   stream("application/jsonl"),
		}},
	}
}

func stream(media string) object {
	all := object{"200": object{"description": "The stream.", "content": object{media: object{"schema": object{"type": "string"}}}}}
	for _, status := range []string{"400", "401", "403", "404", "429", "500", "503"} {
		all[status] = reference("responses", "Problem")
	}
	return all
}
