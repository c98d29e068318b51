package authzen

import (
	"net/http"

	"github.com/authfi/authfi/directory"
)

// metadataCache: the endpoints of a cluster do not move.
const metadataCache = "public, max-age=3600"

// metadataAnswer is the configuration of one policy decision point.
type metadataAnswer struct {
	PolicyDecisionPoint string `json:"policy_decision_point"`
	Evaluation          string `json:"access_evaluation_endpoint"`
	Evaluations         string `json:"access_evaluations_endpoint"`
	SearchSubject       string `json:"search_subject_endpoint"`
	SearchResource      string `json:"search_resource_endpoint"`
	SearchAction        string `json:"search_action_endpoint"`
}

// metadata follows from the name alone and is there for every name that an
// organization could have: it tells nobody which ones there are.
func (h *handler) metadata(w http.ResponseWriter, r *http.Request) {
	base := h.Issuer
	if slug := r.PathValue("slug"); slug != "" {
		if directory.CheckSlug(slug) != nil {
			http.NotFound(w, r)
			return
		}
		base += "/o/" + slug
	}
	at := base + Path
	w.Header().Set("Cache-Control", metadataCache)
	write(w, metadataAnswer{
		PolicyDecisionPoint: base,
		Evaluation:          at + "evaluation", Evaluations: at + "evaluations",
		SearchSubject: at + "search/subject", SearchResource: at + "search/resource", SearchAction: at + "search/action",
	})
}
